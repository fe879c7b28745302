#include "consumer/verdict.hpp"

#include "txm/error.hpp"

#include <boost/asio/error.hpp>
#include <boost/system/system_error.hpp>

namespace txm::detail {

namespace {

Verdict verdict_of(const Error& error) {
    if (error.code().category() != txm_category())
        return Verdict::failed;
    switch (static_cast<Errc>(error.code().value())) {
        // An unknown outcome is as good as an outage: the message is handled again, and the inbox knows.
        case Errc::commit_outcome_unknown:
        case Errc::store_unavailable: return Verdict::store_down;
        case Errc::schema_missing:
        case Errc::schema_too_new:
        case Errc::invalid_configuration: return Verdict::fatal;
        default: return Verdict::failed;
    }
}

}  // namespace

Judgement judge(const std::exception_ptr& problem, const Uuid& message_id) {
    try {
        std::rethrow_exception(problem);
    } catch (const MessageAlreadyProcessedError& e) {
        // A handler may check other ids too: only this message's own one makes it a duplicate.
        return {e.message_id() == message_id ? Verdict::duplicate : Verdict::failed, e.what(), e.content_differs()};
    } catch (const OutsideInboxWindowError& e) {
        return {e.message_id() == message_id ? Verdict::dead : Verdict::failed, e.what()};
    } catch (const Rejected& e) {
        return {Verdict::dead, e.what()};
    } catch (const Error& e) {
        return {verdict_of(e), e.what()};
    } catch (const boost::system::system_error& e) {
        return {e.code() == boost::asio::error::operation_aborted ? Verdict::aborted : Verdict::failed, e.what()};
    } catch (const std::exception& e) {
        return {Verdict::failed, e.what()};
    } catch (...) {
        return {Verdict::failed, "the handler threw something that is not a std::exception"};
    }
}

}  // namespace txm::detail

#include "brokers/aws/trouble.hpp"

#include "aws/client.hpp"
#include "aws/error_types.hpp"
#include "txm/error.hpp"

namespace txm::aws::detail {

namespace {

const ServiceError* service_error(const std::exception_ptr& error) {
    // The exception lives as long as the pointer does.
    try {
        std::rethrow_exception(error);
    } catch (const ServiceError& e) {
        return &e;
    } catch (...) {
        return nullptr;
    }
}

}  // namespace

std::exception_ptr as_unavailable(const std::exception_ptr& error, bool creates) {
    try {
        std::rethrow_exception(error);
    } catch (const ServiceError& e) {
        // What is denied here may be allowed elsewhere: other topics and queues go on meanwhile. Credentials that are no good
        // anywhere are for their owner to mend. A queue that exists already, and was not found, was made a moment ago.
        if (e.code() == Errc::store_unavailable || kind_of(e.type()) == ErrorKind::denied ||
            (creates && (e.code() == Errc::schema_missing || e.type() == "QueueNameExists")))
            return std::make_exception_ptr(Error(Errc::broker_unavailable, e.what(), {}, e.type()));
        return error;
    } catch (const UnansweredError& e) {
        return std::make_exception_ptr(Error(Errc::broker_unavailable, e.what(), {}, e.native_code()));
    } catch (const Error& e) {
        if (e.code() == Errc::store_unavailable)
            return std::make_exception_ptr(Error(Errc::broker_unavailable, e.what(), {}, e.native_code()));
        return error;
    } catch (...) {
        return error;
    }
}

bool is_missing(const std::exception_ptr& error) {
    const auto* e = service_error(error);
    return e && e->code() == Errc::schema_missing;
}

bool is_senders_fault(bool service_says_so, std::string_view code) noexcept {
    return service_says_so && kind_of(code) == ErrorKind::other;
}

bool is_others_fault(std::string_view code) noexcept {
    const ErrorKind kind = kind_of(code);
    return kind == ErrorKind::throttled || kind == ErrorKind::denied;
}

bool was_not_carried_out(const std::exception_ptr& error) {
    try {
        std::rethrow_exception(error);
    } catch (const ServiceError& e) {
        return e.unanswered() == 0 && e.code() != Errc::not_supported;
    } catch (const UnansweredError&) {
        return false;
    } catch (const Error& e) {
        return e.code() == Errc::store_unavailable;  // it was not sent
    } catch (...) {
        return false;
    }
}

bool is_refusal(const std::exception_ptr& error) {
    const auto* e = service_error(error);
    return e && e->code() == Errc::not_supported && e->status() < 500;
}

}  // namespace txm::aws::detail

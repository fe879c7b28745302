#include "relay/trouble.hpp"

#include "txm/error.hpp"

#include <boost/asio/error.hpp>
#include <boost/system/system_error.hpp>

#include <stdexcept>

namespace txm::relay {

Trouble classify(const std::exception_ptr& error) noexcept {
    if (!error)
        return Trouble::none;
    try {
        std::rethrow_exception(error);
    } catch (const boost::system::system_error& e) {
        return e.code() == boost::asio::error::operation_aborted ? Trouble::interrupted : Trouble::passing;
    } catch (const std::system_error& e) {
        if (e.code() == Errc::fence_lost)
            return Trouble::lease_lost;
        if (e.code() == std::errc::operation_canceled)
            return Trouble::interrupted;
        // A pipe without a reader stays so.
        const bool lasts = e.code() == Errc::schema_missing || e.code() == Errc::schema_too_new ||
                           e.code() == Errc::not_supported || e.code() == Errc::invalid_configuration ||
                           e.code() == std::errc::broken_pipe;
        return lasts ? Trouble::lasting : Trouble::passing;
    } catch (const std::logic_error&) {
        return Trouble::lasting;  // a mistake in a program
    } catch (...) {
        return Trouble::passing;
    }
}

std::string text_of(const std::exception_ptr& error) {
    try {
        std::rethrow_exception(error);
    } catch (const std::exception& e) {
        return e.what();
    } catch (...) {
        return "an unknown error";
    }
}

}  // namespace txm::relay

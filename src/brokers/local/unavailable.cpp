#include "brokers/local/unavailable.hpp"

#include "txm/error.hpp"

namespace txm::local::detail {

std::exception_ptr as_unavailable(const std::string& path, const std::exception_ptr& error) {
    try {
        std::rethrow_exception(error);
    } catch (const Error& e) {
        if (e.code() == Errc::store_unavailable || e.code() == Errc::commit_outcome_unknown ||
            e.code() == Errc::schema_missing || e.code() == Errc::statement_failed || e.code() == Errc::fence_lost)
            return std::make_exception_ptr(Error(Errc::broker_unavailable,
                                                 "the local broker's file " + path + ": " + e.what(), e.message_id(),
                                                 e.native_code()));
        return error;
    } catch (...) {
        return error;
    }
}

}  // namespace txm::local::detail

#include "txm/error.hpp"

namespace txm {

namespace {

class Category final : public std::error_category {
public:
    const char* name() const noexcept override { return "txm"; }

    std::string message(int code) const override {
        switch (static_cast<Errc>(code)) {
            case Errc::message_already_processed: return "the message was processed before";
            case Errc::message_already_published: return "the message was published before";
            case Errc::message_not_found: return "there is no such message";
            case Errc::unknown_topic: return "the type has no topic";
            case Errc::uncommitted_session: return "staged writes were neither committed nor rolled back";
            case Errc::already_committed: return "the unit of work is committed already";
            case Errc::commit_failed_before: return "the previous commit failed";
            case Errc::commit_outcome_unknown: return "the outcome of the commit is not known";
            case Errc::session_timeout: return "the session held the store for too long";
            case Errc::outside_inbox_window: return "the message is older than what the inbox remembers";
            case Errc::rejected: return "the message was rejected";
            case Errc::invalid_message: return "the message is not valid";
            case Errc::unexpected_rows: return "a statement changed another number of rows than expected";
            case Errc::not_in_transaction: return "the connection is not inside a transaction";
            case Errc::statement_failed: return "a statement failed";
            case Errc::schema_missing: return "the tables are missing";
            case Errc::schema_too_new: return "the tables are of a newer version";
            case Errc::store_unavailable: return "the store is not available";
            case Errc::broker_unavailable: return "the broker is not available";
            case Errc::fence_lost: return "the lease was lost";
            case Errc::not_supported: return "this is not supported";
            case Errc::invalid_configuration: return "the configuration is not valid";
        }
        return "unknown error";
    }
};

std::string about(const char* before, const Uuid& message_id, const char* after) {
    return before + (message_id.is_nil() ? std::string("the message") : "message " + message_id.to_string()) + after;
}

}  // namespace

const std::error_category& txm_category() noexcept {
    static const Category category;
    return category;
}

std::error_code make_error_code(Errc code) noexcept {
    return {static_cast<int>(code), txm_category()};
}

Error::Error(std::error_code code, std::string what, const Uuid& message_id, std::string native_code)
    : std::system_error(code), what_(std::move(what)), message_id_(message_id), native_code_(std::move(native_code)) {}

Error::Error(Errc code, std::string what, const Uuid& message_id, std::string native_code)
    : Error(make_error_code(code), std::move(what), message_id, std::move(native_code)) {}

const char* Error::what() const noexcept {
    return what_.c_str();
}

bool Error::retryable() const noexcept {
    if (code().category() != txm_category())
        return false;
    switch (static_cast<Errc>(code().value())) {
        case Errc::session_timeout:
        case Errc::unexpected_rows:
        case Errc::store_unavailable:
        case Errc::broker_unavailable:
        case Errc::fence_lost: return true;
        default: return false;
    }
}

MessageAlreadyProcessedError::MessageAlreadyProcessedError(const Uuid& message_id)
    : Error(Errc::message_already_processed,
            about("", message_id, " was processed before: nothing of this transaction was written, treat it as done"),
            message_id) {}

MessageAlreadyPublishedError::MessageAlreadyPublishedError(const Uuid& message_id)
    : Error(Errc::message_already_published,
            about("", message_id,
                  " is in the outbox already: nothing of this transaction was written; give every message an id of its "
                  "own"),
            message_id) {}

MessageNotFoundError::MessageNotFoundError(const Uuid& message_id)
    : Error(Errc::message_not_found,
            about("", message_id, " is not in the outbox: check the id, and whether it was purged"), message_id) {}

UnknownTopicError::UnknownTopicError(const std::string& type_name)
    : Error(Errc::unknown_topic, "no topic for " + type_name + ": add txm::topic<" + type_name +
                                     ">(\"topic\", \"type\") to the TopicMap; nothing was staged") {}

UncommittedSessionError::UncommittedSessionError(const Uuid& message_id)
    : Error(
          Errc::uncommitted_session,
          about("the work on ", message_id,
                " returned with staged writes, which were dropped: co_await commit(), or rollback() if that was meant"),
          message_id) {}

AlreadyCommittedError::AlreadyCommittedError(const Uuid& message_id)
    : Error(Errc::already_committed,
            about("the unit of work of ", message_id,
                  " is committed already, and what was staged since was not written: do all of its work in one commit"),
            message_id) {}

CommitOutcomeUnknown::CommitOutcomeUnknown(std::string what, std::string native_code)
    : Error(Errc::commit_outcome_unknown, std::move(what), {}, std::move(native_code)) {}

SessionTimeoutError::SessionTimeoutError(std::string what) : Error(Errc::session_timeout, std::move(what)) {}

OutsideInboxWindowError::OutsideInboxWindowError(const Uuid& message_id)
    : Error(Errc::outside_inbox_window,
            about("", message_id,
                  " is older than what the inbox remembers, so it may be a forgotten duplicate and was not applied: "
                  "look at it and replay it by hand, or keep the inbox for longer"),
            message_id) {}

FenceLostError::FenceLostError(std::string what) : Error(Errc::fence_lost, std::move(what)) {}

Rejected::Rejected(std::string why) : Error(Errc::rejected, std::move(why)) {}

}  // namespace txm

#include "cli/commands.hpp"

#include "cli/log.hpp"
#include "cli/message_output.hpp"
#include "cli/output.hpp"
#include "cli/progress.hpp"
#include "cli/registry.hpp"
#include "cli/values.hpp"

#include "txm/error.hpp"
#include "txm/sync_wait.hpp"

#include <algorithm>
#include <array>
#include <unordered_set>

namespace txm::cli {

namespace {

Uuid parse_id(const std::string& text, const std::string& origin) {
    const auto id = Uuid::try_parse(text);
    if (!id)
        throw UsageError(origin + " must be a UUID such as 01890a5d-ac96-774b-bcce-b302099a8057, not '" + text + "'");
    return *id;
}

MessageState parse_state(const std::string& text, const std::string& origin) {
    for (const MessageState state :
         {MessageState::pending, MessageState::dispatched, MessageState::parked, MessageState::dead})
        if (text == to_string(state))
            return state;
    throw UsageError(origin + " must be one of pending, dispatched, parked, dead, not '" + text + "'");
}

/// One `txm messages …`: what it selects, and where.
class MessagesRun {
public:
    MessagesRun(const Configuration& configuration, const std::string& action, const std::vector<std::string>& ids)
        : configuration_(configuration), action_(action), is_inbox_(configuration.flag("inbox")) {
        read_filter(ids);
        check_use();
        store_ = open_store(configuration);
        admin_ = store_->admin();
    }

    int run() {
        if (action_ == "list" || action_ == "show")
            return show();
        return change();
    }

private:
    void read_filter(const std::vector<std::string>& ids) {
        for (const std::string& id : ids)
            if (const Uuid parsed = parse_id(id, "ID");
                std::find(filter_.ids.begin(), filter_.ids.end(), parsed) == filter_.ids.end())
                filter_.ids.push_back(parsed);
        if (const auto state = configuration_.find("state")) {
            if (is_inbox_)
                read_inbox_state(*state);
            else
                filter_.state = parse_state(*state, configuration_.origin("state"));
        }
        filter_.topic = configuration_.find("topic");
        filter_.aggregate_id = configuration_.find("aggregate");
        if (const auto id = configuration_.find("correlation"))
            filter_.correlation_id = parse_id(*id, configuration_.origin("correlation"));
        if (const auto time = configuration_.find("since"))
            filter_.since = parse_time(*time, configuration_.origin("since"));
        if (const auto time = configuration_.find("before"))
            filter_.before = parse_time(*time, configuration_.origin("before"));
        if (configuration_.find("limit"))
            filter_.limit = static_cast<std::size_t>(configuration_.number("limit"));
    }

    void read_inbox_state(const std::string& state) {
        const bool changes = action_ == "replay" || action_ == "skip";
        check_choice(state, changes ? "dead|parked" : "processed|dead|skipped|parked", configuration_.origin("state"));
        state_ = state;
        if (state == "dead" || state == "parked")
            filter_.state = parse_state(state, configuration_.origin("state"));
    }

    bool selects_everything() const { return filter_.selects_everything() && state_.empty(); }

    void check_use() const {
        if (!is_inbox_ && configuration_.find("consumer") && configuration_.origin("consumer") == "--consumer")
            throw UsageError("--consumer belongs to --inbox: an outbox has no consumers");
        if (action_ == "show" && selects_everything())
            throw UsageError("messages show needs ids or a filter such as --aggregate ID");
        if ((action_ == "replay" || action_ == "skip") && filter_.ids.empty() && !configuration_.flag("yes"))
            throw UsageError("messages " + action_ +
                             " needs ids, or --yes to do it for all that the filters select (`txm messages list` "
                             "with the same filters shows them)");
        if ((action_ == "replay" || action_ == "skip") && selects_everything())
            throw UsageError(
                "messages " + action_ +
                " needs ids or a filter such as --state dead: without one it is every message that there is");
        if (action_ == "purge" && !filter_.before)
            throw UsageError("messages purge needs --before AGE, such as --before 30d");
        // A row of an inbox has no topic or aggregate: what cannot be told apart must not be deleted.
        if (action_ == "purge" && is_inbox_)
            for (const char* filter : {"state", "topic", "aggregate", "correlation", "since", "limit"})
                if (configuration_.find(filter) || !filter_.ids.empty())
                    throw UsageError("messages purge --inbox takes --consumer and --before, no other filter");
    }

    int show() {
        const bool full = action_ == "show";
        MessageOutput output{configuration_.json(), full, is_inbox_};
        std::unordered_set<Uuid> missing{filter_.ids.begin(), filter_.ids.end()};
        bool found = false;
        const auto each = [&](const auto& item) {
            found = true;
            missing.erase(id_of(item));
            output.add(item);
            return true;
        };
        if (is_inbox_)
            sync_wait(admin_->list_inbox(consumer(), state_, filter_, each));
        else
            sync_wait(admin_->list(filter_, each));
        output.finish();
        if (!found && missing.empty() && !configuration_.json())
            write_result(is_inbox_ ? "no messages of consumer '" + consumer() + "'\n" : std::string("no messages\n"));
        return report_missing(missing);
    }

    int change() {
        std::unordered_set<Uuid> missing = action_ == "purge" ? std::unordered_set<Uuid>{} : missing_ids();
        Progress progress;
        const Admin::Progress draw = [&](std::size_t done) {
            if (progress.is_due())
                progress.draw(std::to_string(done) + " …");
        };
        std::size_t number = 0;
        if (is_inbox_)
            number = sync_wait(action_ == "replay" ? admin_->replay_inbox(consumer(), filter_)
                               : action_ == "skip" ? admin_->skip_inbox(consumer(), filter_)
                                                   : admin_->purge_inbox(consumer(), filter_, draw));
        else
            number = sync_wait(action_ == "replay" ? admin_->replay(filter_, draw)
                               : action_ == "skip" ? admin_->skip(filter_, draw)
                                                   : admin_->purge(filter_, draw));
        progress.clear();
        const std::string done = action_ == "replay" ? "replayed" : action_ == "skip" ? "skipped" : "deleted";
        if (configuration_.json())
            write_result("{\"" + done + "\":" + std::to_string(number) + "}\n");
        else
            write_result(done + " " + counted(number, "message") + "\n");
        const int code = report_missing(missing);
        if (action_ == "purge" || filter_.ids.empty() || number + missing.size() >= filter_.ids.size())
            return code;
        flush_results();
        report_failure(counted(filter_.ids.size() - missing.size() - number, "message") +
                       " of those named could not be " + done + ": " +
                       (is_inbox_ || action_ != "replay" ? "only parked and dead ones can be"
                                                         : "one that is still pending is sent anyway"));
        return 1;
    }

    std::unordered_set<Uuid> missing_ids() {
        std::unordered_set<Uuid> missing{filter_.ids.begin(), filter_.ids.end()};
        MessageFilter ids;
        ids.ids = filter_.ids;
        const auto each = [&missing](const auto& item) {
            missing.erase(id_of(item));
            return true;
        };
        if (missing.empty())
            return missing;
        if (is_inbox_)
            sync_wait(admin_->list_inbox(consumer(), "", ids, each));
        else
            sync_wait(admin_->list(ids, each));
        return missing;
    }

    int report_missing(const std::unordered_set<Uuid>& missing) const {
        if (missing.empty())
            return 0;
        flush_results();
        for (const Uuid& id : filter_.ids)
            if (missing.contains(id))
                report_failure(
                    "no message " + id.to_string() +
                    (is_inbox_ ? " in the inbox of consumer '" + consumer() + "'" : std::string(" in the outbox")));
        return 1;
    }

    static Uuid id_of(const ListedMessage& item) { return item.message.message_id; }
    static Uuid id_of(const ListedDelivery& item) { return item.message_id; }

    std::string consumer() const { return configuration_.text("consumer"); }

    const Configuration& configuration_;
    const std::string& action_;
    bool is_inbox_;
    MessageFilter filter_;
    std::string state_;  // of an inbox
    std::unique_ptr<Store> store_;
    std::unique_ptr<Admin> admin_;
};

}  // namespace

int run_messages(const Configuration& configuration, const std::string& action, const std::vector<std::string>& ids) {
    return MessagesRun{configuration, action, ids}.run();
}

}  // namespace txm::cli

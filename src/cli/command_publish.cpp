#include "cli/commands.hpp"

#include "cli/line_reader.hpp"
#include "cli/log.hpp"
#include "cli/output.hpp"
#include "cli/progress.hpp"
#include "cli/registry.hpp"
#include "cli/signals.hpp"

#include "core/message_json.hpp"
#include "txm/error.hpp"
#include "txm/outbox_writer.hpp"
#include "txm/sync_wait.hpp"

#include <algorithm>
#include <unordered_map>

namespace txm::cli {

namespace {

/// Lines of one transaction, and what was committed before.
class Publishing {
public:
    Publishing(Store& store, std::size_t batch_size, std::size_t max_payload)
        : store_(store),
          batch_size_(std::min(batch_size, store.limits().messages)),
          max_bytes_(store.limits().bytes),
          max_payload_(max_payload) {}

    void add(std::string_view text) {
        ++line_;
        if (text.find_first_not_of(" \t\r") == std::string_view::npos)
            return;
        StoredMessage message;
        try {
            message = detail::message_from_json(text);
            validate(message, max_payload_);
        } catch (const Error& error) {
            refuse(line_, error.what());
        }
        const std::size_t size = size_of(message);
        if (!batch_.empty() && bytes_ + size > max_bytes_)
            commit_through(line_ - 1);
        const auto [other, is_new] = lines_.emplace(message.message_id, line_);
        if (!is_new)
            refuse(line_, "the message_id " + message.message_id.to_string() + " is used by line " +
                              std::to_string(other->second) + " too");
        bytes_ += size;
        batch_.push_back(std::move(message));
        if (batch_.size() >= batch_size_)
            commit();
    }

    void commit() { commit_through(line_); }

    /// What cannot be read counts as a fault of the line after the last one.
    [[noreturn]] void refuse_next_line(const std::string& why) const { refuse(line_ + 1, why); }

    std::string committed_lines() const {
        if (committed_line_ == 0)
            return "nothing is committed";
        return "lines 1 to " + std::to_string(committed_line_) + " are committed (" + counted(published_, "message") +
               "), nothing after them";
    }
    bool has_waiting() const noexcept { return !batch_.empty(); }
    std::size_t published() const noexcept { return published_; }

private:
    void commit_through(std::size_t line) {
        if (batch_.empty())
            return;
        const std::size_t size = batch_.size();
        try {
            sync_wait(store_.publish(std::move(batch_), max_payload_));
        } catch (const Error& error) {
            const auto refused = lines_.find(error.message_id());
            if (error.code() == Errc::commit_outcome_unknown)
                throw Error(error.code(), std::string(error.what()) + "; lines 1 to " +
                                              std::to_string(committed_line_) + " are committed, those up to " +
                                              std::to_string(line) + " perhaps");
            if (refused == lines_.end())
                throw Error(error.code(), std::string(error.what()) + "; " + committed_lines());
            refuse(refused->second, error.what());
        }
        published_ += size;
        committed_line_ = line;
        bytes_ = 0;
        batch_.clear();
        lines_.clear();
    }

    // As a store counts: everything but the names of columns, for which it keeps a reserve.
    static std::size_t size_of(const StoredMessage& message) {
        std::size_t size =
            message.payload.size() + message.topic.size() + message.type.size() + message.aggregate_id.str().size();
        for (const auto& [name, value] : message.headers)
            size += name.size() + value.size();
        return size;
    }

    [[noreturn]] void refuse(std::size_t line, const std::string& why) const {
        throw Error(Errc::invalid_message, "line " + std::to_string(line) + ": " + why + "; " + committed_lines());
    }

    Store& store_;
    std::size_t batch_size_, max_bytes_, max_payload_;
    std::vector<StoredMessage> batch_;
    std::unordered_map<Uuid, std::size_t> lines_;  // of the batch
    std::size_t bytes_ = 0;                        // of the batch
    std::size_t line_ = 0, committed_line_ = 0, published_ = 0;
};

void draw(Progress& progress, const Publishing& publishing, const LineReader& reader) {
    if (!progress.is_due())
        return;
    std::string text = "published " + counted(publishing.published(), "message");
    if (reader.size() > 0)
        text += ", " + std::to_string(reader.bytes_read() * 100 / reader.size()) + "% of the file";
    progress.draw(text);
}

}  // namespace

int run_publish(const Configuration& configuration, const std::vector<std::string>& files) {
    const auto store = open_store(configuration);
    const auto max_payload = static_cast<std::size_t>(configuration.number("max_payload"));
    // A payload may be escaped throughout, and there may be headers.
    const std::size_t longest_line = std::max(std::size_t{16} << 20, 7 * max_payload);
    LineReader reader{files.empty() ? "-" : files.front(), longest_line};
    const StopOnSignal stop{[&reader] { reader.interrupt(); }};
    Publishing publishing{*store, static_cast<std::size_t>(configuration.number("batch")), max_payload};
    Progress progress;

    for (std::string_view line;;) {
        LineReader::Result result{};
        try {
            result = reader.next(line, publishing.has_waiting());
        } catch (const Error& error) {
            publishing.refuse_next_line(error.what());
        }
        if (result == LineReader::Result::line)
            publishing.add(line);
        else
            publishing.commit();
        draw(progress, publishing, reader);
        if (result == LineReader::Result::end)
            break;
        if (result == LineReader::Result::interrupted) {
            progress.clear();
            report_failure("stopped by a signal before the end of the input: " + publishing.committed_lines());
            return 1;
        }
    }
    progress.clear();
    if (configuration.json())
        write_result("{\"published\":" + std::to_string(publishing.published()) + "}\n");
    else
        write_result("published " + counted(publishing.published(), "message") + "\n");
    return 0;
}

}  // namespace txm::cli

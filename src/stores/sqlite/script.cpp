#include "core/headers_json.hpp"
#include "sqlite/database_impl.hpp"
#include "txm/error.hpp"
#include "txm/sqlite_feed.hpp"
#include "txm/sync_wait.hpp"

#include <sqlite3.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

namespace txm::sqlite {
namespace {

constexpr std::array<std::string_view, 11> known_parameters = {
    ":message_id", ":aggregate_id", ":correlation_id", ":topic",    ":type",    ":payload",
    ":headers",    ":created_at",   ":stored_at",      ":sequence", ":consumer"};

Value value_of(std::string_view parameter, const StoredMessage& message, const std::string& consumer) {
    if (parameter == ":message_id")
        return to_value(message.message_id);
    if (parameter == ":aggregate_id")
        return message.aggregate_id.str();
    if (parameter == ":correlation_id")
        return to_value(message.correlation_id);
    if (parameter == ":topic")
        return message.topic;
    if (parameter == ":type")
        return message.type;
    if (parameter == ":payload")
        return message.payload;
    if (parameter == ":headers")
        return txm::detail::headers_to_json(message.headers);
    if (parameter == ":created_at")
        return to_value(message.created_at);
    if (parameter == ":stored_at")
        return to_value(message.stored_at);
    if (parameter == ":sequence")
        return std::to_string(message.sequence);
    return consumer;
}

[[noreturn]] void refuse(int number, const std::string& why) {
    throw Error(Errc::invalid_configuration, "statement " + std::to_string(number) + " of the script: " + why);
}

std::vector<std::string> parameters_of(sqlite3_stmt* statement, int number) {
    std::vector<std::string> parameters;
    const int count = sqlite3_bind_parameter_count(statement);
    for (int index = 1; index <= count; ++index) {
        const char* const name = sqlite3_bind_parameter_name(statement, index);
        const std::string parameter = name ? name : "?";
        if (std::find(known_parameters.begin(), known_parameters.end(), parameter) == known_parameters.end())
            refuse(number, "unknown parameter " + parameter +
                               "; there are :message_id :aggregate_id :correlation_id :topic :type :payload :headers "
                               ":created_at :stored_at :sequence :consumer");
        parameters.push_back(parameter);
    }
    return parameters;
}

/// The first statement of `text`, which is moved behind it; empty when there is none left.
std::string take_statement(sqlite3* db, const char*& text, int number) {
    while (*text) {
        sqlite3_stmt* statement = nullptr;
        const char* tail = nullptr;
        const int code = sqlite3_prepare_v2(db, text, -1, &statement, &tail);
        sqlite3_finalize(statement);
        if (code != SQLITE_OK)
            refuse(number, sqlite3_errmsg(db));
        const char* const begin = std::exchange(text, tail);
        if (statement)
            return {begin, tail};
    }
    return {};
}

}  // namespace

Script::Script(Database& db, const std::string& text) {
    const auto split = [this, &text](detail::Connection& connection) {
        const char* rest = text.c_str();
        for (int number = 1;; ++number) {
            Part part;
            part.sql = take_statement(connection.handle(), rest, number);
            if (part.sql.empty())
                return;
            try {
                part.parameters = parameters_of(connection.prepare_user(part.sql).handle(), number);
            } catch (const Error& error) {
                if (error.code() == Errc::invalid_configuration)
                    throw;
                refuse(number, error.what());
            }
            parts_.push_back(std::move(part));
        }
    };
    if (text.find('\0') != std::string::npos)
        throw Error(Errc::invalid_configuration, "the script has a zero byte in it");
    sync_wait(db.impl().readers().run(split));
    if (parts_.empty())
        throw Error(Errc::invalid_configuration, "the script has no statement");
}

void Script::add_to(Session& session, const StoredMessage& message, const std::string& consumer) const {
    for (const Part& part : parts_) {
        std::vector<Value> values;
        values.reserve(part.parameters.size());
        for (const std::string& parameter : part.parameters)
            values.push_back(value_of(parameter, message, consumer));
        session.add(Statement::with_parameters(part.sql, std::move(values)));
    }
}

}  // namespace txm::sqlite

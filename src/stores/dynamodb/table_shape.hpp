#pragma once

#include <boost/json/object.hpp>

#include <string>
#include <vector>

namespace txm::dynamodb::detail {

struct IndexShape {
    std::string name, hash, range;  ///< no range key: empty
};

/// What a table of txm looks like. All keys are texts; all indexes hold whole items.
struct TableShape {
    std::string name, hash, range;
    std::vector<IndexShape> indexes;
    bool has_stream = false;  ///< of new and old images
    bool expires = false;     ///< items are deleted at their ExpiresAt
};

/// @throws std::invalid_argument for what is no name of a table
TableShape outbox_shape(const std::string& table);
TableShape inbox_shape(const std::string& table);
TableShape state_shape(const std::string& table);

/// The body of CreateTable.
std::string create_request(const TableShape& shape);

/// What an existing table, as DescribeTable tells of it, has otherwise: a clause each. A table without a stream is as good: its
/// relay polls.
std::vector<std::string> differences(const TableShape& shape, const boost::json::object& described);

/// It is a global table: its rows, and the records of its stream, appear in other regions, too.
bool has_replicas(const boost::json::object& described);
/// What is said of such a table where no home region is named.
constexpr const char* replicas_refused =
    "has replicas in other regions, where every message would be published again, and the last writer of a row wins: "
    "let "
    "txm work in one region alone, and name it as home_region";

/// The attributes that are keys, each once.
std::vector<std::string> key_attributes(const TableShape& shape);

}  // namespace txm::dynamodb::detail

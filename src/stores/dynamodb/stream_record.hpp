#pragma once

#include "stores/dynamodb/feed_candidate.hpp"

#include <boost/json/object.hpp>

#include <cstddef>
#include <optional>
#include <string>

namespace txm::dynamodb::detail {

/// A change of the outbox, as its stream tells it.
struct StreamRecord {
    std::string sequence_number;
    Timestamp created_at{};              ///< to the second
    std::optional<Candidate> candidate;  ///< a message that was stored, or set back to be sent again
};

/// @param json an element of `Records`
StreamRecord stream_record_of(const boost::json::object& json, std::size_t max_payload);

}  // namespace txm::dynamodb::detail

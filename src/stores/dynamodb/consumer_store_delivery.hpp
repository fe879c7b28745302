#pragma once

#include "txm/item.hpp"
#include "txm/subscription.hpp"

#include <boost/asio/awaitable.hpp>

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace txm::dynamodb::detail {

class DatabaseImpl;

/// A delivery as the attributes of an item under `key`. A payload that does not fit into one item goes on in parts_of().
/// @throws Error(not_supported) when its headers alone are larger than an item may be
Item item_of(const Delivery& delivery, Item key);

/// The items that the rest of the payload needs, in their order: under the same hash key as `key`, and behind its range key.
/// None for nearly every delivery.
std::vector<Item> parts_of(const Delivery& delivery, const Item& key);
/// How many they are.
std::size_t part_count(const Delivery& delivery);
/// The keys of the parts that an item under `key` has.
std::vector<Item> part_keys(const Item& item, const Item& key);

/// Delivery::attempt is how often it was tried. The payload is only what the item itself has of it.
Delivery delivery_of(const Item& item);

/// The deliveries whole, in the order of the items. None for one whose parts are not there: it was removed meanwhile.
/// @param keys what parts_of() was given, for each item
boost::asio::awaitable<std::vector<std::optional<Delivery>>> whole_deliveries(DatabaseImpl& db, std::string table,
                                                                              std::vector<std::optional<Item>> items,
                                                                              std::vector<Item> keys);

}  // namespace txm::dynamodb::detail

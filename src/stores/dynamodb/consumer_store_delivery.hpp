#pragma once

#include "txm/item.hpp"
#include "txm/subscription.hpp"

#include <string>

namespace txm::dynamodb::detail {

/// A delivery as attributes, whole, to be kept under `key`.
/// @throws Error(not_supported) when it is larger than an item may be
Item item_of(const Delivery& delivery, Item key);

/// Delivery::attempt is how often it was tried.
Delivery delivery_of(const Item& item);

}  // namespace txm::dynamodb::detail

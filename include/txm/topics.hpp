#pragma once

#include "txm/message.hpp"

#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <typeindex>
#include <typeinfo>
#include <unordered_map>

namespace txm {

/// Where messages of one C++ type go. Made by topic<M>().
struct Topic {
    std::type_index type_index;
    std::string name;
    std::string type;                                               ///< stable wire name of the type
    std::shared_ptr<const void> (*copy)(const void* most_derived);  ///< copies an M; null when M cannot be copied
};

/// Maps the C++ type M to a topic and to its stable wire name, which consumers dispatch on.
/// Map all types of one aggregate to one topic: order is kept per aggregate *and topic*.
/// @param name topic, not empty  @param type wire name of M, not empty
/// @throws std::invalid_argument when one is empty
template <class M>
Topic topic(std::string name, std::string type);

/// C++ type → (topic, type). Immutable and shared: copied freely, it cannot dangle.
/// *Thread safety*: any number of threads.
class TopicMap {
public:
    /// @throws std::invalid_argument when a C++ type, or one (topic, type), is mapped twice.
    TopicMap(std::initializer_list<Topic> topics);

    /// @throws UnknownTopicError naming the type and what to add.
    const Topic& at(const std::type_info& type) const;

private:
    std::shared_ptr<const std::unordered_map<std::type_index, Topic>> topics_;
};

namespace detail {

void check_topic_names(std::string_view name, std::string_view type);

template <class M>
std::shared_ptr<const void> copy_message(const void* most_derived) {
    return std::make_shared<const M>(*static_cast<const M*>(most_derived));
}

}  // namespace detail

template <class M>
Topic topic(std::string name, std::string type) {
    static_assert(detail::check_message<M>());
    detail::check_topic_names(name, type);
    Topic result{typeid(M), std::move(name), std::move(type), nullptr};
    if constexpr (std::copy_constructible<M>)
        result.copy = &detail::copy_message<M>;
    return result;
}

}  // namespace txm

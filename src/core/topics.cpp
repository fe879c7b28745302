#include "txm/topics.hpp"

#include "txm/error.hpp"

#include <cxxabi.h>

#include <cstdlib>
#include <set>
#include <stdexcept>
#include <utility>

namespace txm {

namespace {

std::string readable_name(const char* type) {
    int status = 0;
    const std::unique_ptr<char, void (*)(void*)> name{abi::__cxa_demangle(type, nullptr, nullptr, &status), std::free};
    return name ? name.get() : type;
}

}  // namespace

void detail::check_topic_names(std::string_view name, std::string_view type) {
    if (name.empty())
        throw std::invalid_argument("txm: topic() needs the name of a topic");
    if (type.empty())
        throw std::invalid_argument(
            "txm: topic() needs a wire name for the type, such as \"order-created\": consumers find their handler by "
            "it");
}

TopicMap::TopicMap(std::initializer_list<Topic> topics) {
    std::unordered_map<std::type_index, Topic> by_type;
    std::set<std::pair<std::string_view, std::string_view>> names;
    for (const Topic& topic : topics) {
        if (!names.emplace(topic.name, topic.type).second)
            throw std::invalid_argument("txm: the TopicMap gives topic \"" + topic.name + "\", type \"" + topic.type +
                                        "\" to two C++ types");
        if (!by_type.emplace(topic.type_index, topic).second)
            throw std::invalid_argument("txm: the TopicMap maps " + readable_name(topic.type_index.name()) + " twice");
    }
    topics_ = std::make_shared<const std::unordered_map<std::type_index, Topic>>(std::move(by_type));
}

const Topic& TopicMap::at(const std::type_info& type) const {
    const auto found = topics_->find(type);
    if (found == topics_->end())
        throw UnknownTopicError(readable_name(type.name()));
    return found->second;
}

}  // namespace txm

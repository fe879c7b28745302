#include "common/messages.hpp"

#include <boost/json.hpp>

namespace demo {

namespace {

std::string answer(std::int64_t order_id, const std::string& customer) {
    return boost::json::serialize(boost::json::object{{"order_id", order_id}, {"customer", customer}});
}

template <class Answer>
Answer parse_answer(std::string_view payload) {
    const auto json = boost::json::parse(boost::json::string_view(payload.data(), payload.size()));
    Answer message;
    message.order_id = json.at("order_id").as_int64();
    message.customer = boost::json::value_to<std::string>(json.at("customer"));
    return message;
}

}  // namespace

std::string OrderCreated::serialize() const {
    return boost::json::serialize(
        boost::json::object{{"order_id", order_id}, {"customer", customer}, {"cents", cents}});
}

OrderCreated OrderCreated::deserialize(std::string_view payload) {
    const auto json = boost::json::parse(boost::json::string_view(payload.data(), payload.size()));
    OrderCreated message;
    message.order_id = json.at("order_id").as_int64();
    message.customer = boost::json::value_to<std::string>(json.at("customer"));
    message.cents = json.at("cents").as_int64();
    return message;
}

std::string CreditReserved::serialize() const {
    return answer(order_id, customer);
}

CreditReserved CreditReserved::deserialize(std::string_view payload) {
    return parse_answer<CreditReserved>(payload);
}

std::string CreditRejected::serialize() const {
    return answer(order_id, customer);
}

CreditRejected CreditRejected::deserialize(std::string_view payload) {
    return parse_answer<CreditRejected>(payload);
}

const txm::TopicMap& topics() {
    static const txm::TopicMap map{
        txm::topic<OrderCreated>("orders", "order-created"),
        txm::topic<CreditReserved>("credit", "credit-reserved"),
        txm::topic<CreditRejected>("credit", "credit-rejected"),
    };
    return map;
}

}  // namespace demo

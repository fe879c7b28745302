#pragma once

#include "aws/client.hpp"
#include "stores/dynamodb/database_impl.hpp"
#include "support/fake_http.hpp"
#include "txm/dynamodb.hpp"
#include "txm/sync_wait.hpp"

#include <string>

namespace txm::test {

/// The name of what a request asks of DynamoDB.
inline std::string action_of(const HttpRequest& request) {
    const std::string target = request.header("x-amz-target");
    return target.substr(target.find('.') + 1);
}

/// What the server of a database answers to a request that was made of another one.
inline HttpAnswer pass_on(dynamodb::Database& db, const HttpRequest& request) {
    try {
        return HttpAnswer(200, sync_wait(db.impl().call(action_of(request), request.body)).body);
    } catch (const aws::ServiceError& refusal) {
        return HttpAnswer(refusal.status(), refusal.body());
    }
}

}  // namespace txm::test

#include "aws/error_types.hpp"

#include <algorithm>
#include <iterator>

namespace txm::aws::detail {
namespace {

using enum ErrorKind;

struct Entry {
    std::string_view type;
    ErrorKind kind;
};

// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html,
// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/CommonErrors.html,
// https://docs.aws.amazon.com/sns/latest/api/CommonErrors.html, and for what may be repeated
// https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html. Sorted.
constexpr Entry table[] = {
    {"AWS.SimpleQueueService.NonExistentQueue", missing},
    {"AccessDenied", denied},
    {"AccessDeniedException", denied},
    {"AuthFailure", bad_signature},
    {"AuthorizationError", denied},
    {"AuthorizationErrorException", denied},
    {"BandwidthLimitExceeded", throttled},
    {"EC2ThrottledException", throttled},
    {"ExpiredToken", expired},
    {"ExpiredTokenException", expired},
    {"IDPCommunicationError", outage},
    {"IncompleteSignature", bad_signature},
    {"IncompleteSignatureException", bad_signature},
    {"InternalError", outage},
    {"InternalErrorException", outage},
    {"InternalFailure", outage},
    {"InternalServerError", outage},
    {"InvalidAccessKeyId", unknown_key},
    {"InvalidClientTokenId", unknown_key},
    {"InvalidSecurity", bad_signature},
    {"InvalidSignatureException", bad_signature},
    {"KMSThrottling", throttled},
    {"KMSThrottlingException", throttled},
    {"KmsThrottled", throttled},
    {"LimitExceededException", throttled},
    {"MissingAuthenticationToken", unknown_key},
    {"MissingAuthenticationTokenException", unknown_key},
    {"NotAuthorized", denied},
    {"NotFound", missing},
    {"NotFoundException", missing},
    {"OptInRequired", denied},
    {"OverLimit", throttled},
    {"PriorRequestNotComplete", throttled},
    {"ProvisionedThroughputExceededException", throttled},
    {"QueueDeletedRecently", throttled},
    {"QueueDoesNotExist", missing},
    {"ReplicatedWriteConflictException", throttled},
    {"RequestExpired", clock},
    {"RequestInTheFuture", clock},
    {"RequestLimitExceeded", throttled},
    {"RequestThrottled", throttled},
    {"RequestThrottledException", throttled},
    {"RequestTimeTooSkewed", clock},
    {"RequestTimeout", outage},
    {"RequestTimeoutException", outage},
    {"ResourceNotFoundException", missing},
    {"ServiceUnavailable", outage},
    {"ServiceUnavailableException", outage},
    {"SignatureDoesNotMatch", bad_signature},
    {"SlowDown", throttled},
    {"Throttled", throttled},
    {"ThrottledException", throttled},
    {"Throttling", throttled},
    {"ThrottlingException", throttled},
    {"TooManyRequestsException", throttled},
    {"TransactionConflictException", throttled},
    {"TransactionInProgressException", throttled},
    {"UnauthorizedOperation", denied},
    {"UnrecognizedClientException", unknown_key},
};
static_assert(std::ranges::is_sorted(table, {}, &Entry::type));

}  // namespace

ErrorKind kind_of(std::string_view type) noexcept {
    const auto found = std::ranges::lower_bound(table, type, {}, &Entry::type);
    if (found != std::end(table) && found->type == type)
        return found->kind;
    // KMSDisabled, KmsInvalidState …: the key of a queue or topic cannot be used as it is, whatever is sent.
    return type.starts_with("KMS") || type.starts_with("Kms") ? denied : other;
}

}  // namespace txm::aws::detail

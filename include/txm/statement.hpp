#pragma once

#include "txm/message.hpp"

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace txm {

/// Bytes, as opposed to text.
using Blob = std::vector<std::byte>;

/// A value of SQL: null, integer, real, text or blob.
using Value = std::variant<std::monostate, std::int64_t, double, std::string, Blob>;

/// A row of a result, in the order of its columns.
using Row = std::vector<Value>;

/// Makes a Value: from an integer, bool, floating point, text, Blob, Uuid (its text), AggregateId, Timestamp (ISO 8601),
/// nullptr, or std::optional of one of these.
template <class T>
Value to_value(T&& argument) {
    using Plain = std::remove_cvref_t<T>;
    if constexpr (std::same_as<Plain, Value>) {
        return std::forward<T>(argument);
    } else if constexpr (std::same_as<Plain, std::nullptr_t> || std::same_as<Plain, std::monostate>) {
        return std::monostate{};
    } else if constexpr (std::integral<Plain>) {
        static_assert(sizeof(Plain) < sizeof(std::int64_t) || std::signed_integral<Plain>,
                      "txm: SQL integers are signed 64-bit: cast a std::uint64_t yourself");
        return static_cast<std::int64_t>(argument);
    } else if constexpr (std::floating_point<Plain>) {
        return static_cast<double>(argument);
    } else if constexpr (std::same_as<Plain, Uuid>) {
        return argument.to_string();
    } else if constexpr (std::same_as<Plain, AggregateId>) {
        return argument.str();
    } else if constexpr (std::same_as<Plain, Timestamp>) {
        return to_iso8601(argument);
    } else if constexpr (std::same_as<Plain, Blob>) {
        return std::forward<T>(argument);
    } else if constexpr (requires {
                             argument.has_value();
                             *argument;
                         }) {
        if (!argument.has_value())
            return std::monostate{};
        return to_value(*std::forward<T>(argument));
    } else {
        static_assert(std::convertible_to<T, std::string> || std::convertible_to<T, std::string_view>,
                      "txm: this type cannot be a parameter of a statement");
        if constexpr (std::convertible_to<T, std::string>)
            return std::string(std::forward<T>(argument));
        else
            return std::string(std::string_view(argument));
    }
}

/// SQL with its parameters, bound to `?` in order. A value: nothing runs until a session or a borrowed transaction
/// takes it.
class Statement {
public:
    template <class... Args>
    explicit Statement(std::string sql, Args&&... args) : sql_(std::move(sql)) {
        parameters_.reserve(sizeof...(args));
        (parameters_.push_back(to_value(std::forward<Args>(args))), ...);
    }

    static Statement with_parameters(std::string sql, std::vector<Value> parameters) {
        Statement statement{std::move(sql)};
        statement.parameters_ = std::move(parameters);
        return statement;
    }

    /// Requires that it changes exactly `rows` rows; otherwise `error` is thrown by the commit and nothing is written.
    /// @code
    /// session.add(txm::Statement{"update account set credit = credit - ? where id = ? and version = ?", 5, id, version}
    ///                 .expect_rows(1, OptimisticLockError{id}));
    /// @endcode
    template <class E>
    Statement&& expect_rows(std::size_t rows, E error) && {
        expected_rows_ = rows;
        error_ = std::make_exception_ptr(std::move(error));
        return std::move(*this);
    }

    const std::string& sql() const noexcept { return sql_; }
    const std::vector<Value>& parameters() const noexcept { return parameters_; }
    std::optional<std::size_t> expected_rows() const noexcept { return expected_rows_; }
    /// What expect_rows() was given; null when there is none.
    const std::exception_ptr& error() const noexcept { return error_; }

private:
    std::string sql_;
    std::vector<Value> parameters_;
    std::optional<std::size_t> expected_rows_;
    std::exception_ptr error_;
};

}  // namespace txm

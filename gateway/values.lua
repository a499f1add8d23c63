-- What a single value must be, in a body and in a query alike; and how a refusal is raised.
--
-- ENUMS (made from the contract) stands above: the names of each enum, as keys and in order.

local byte, find, gmatch, gsub, lower, match, sub =
  string.byte, string.find, string.gmatch, string.gsub, string.lower, string.match, string.sub

local function refuse(reason, message, field)
  error({reason = reason, message = message, field = field}, 0)
end

-- A client's own words go into an answer only as far as they are harmless there.
local function plain(text)
  return (gsub(sub(text, 1, 80), "[^%w_.:@$%[%]-]", "?"))
end

local function continues(char, least, most)
  return char and char >= (least or 128) and char <= (most or 191)
end

-- The place after the character of several bytes at `at`, or nil if it is not UTF-8 (RFC 3629): no overlong
-- forms, no surrogates, nothing beyond U+10FFFF.
local function after_wide(text, at)
  local one, two, three, four = byte(text, at, at + 3)
  if one >= 194 and one <= 223 then
    return continues(two) and at + 2
  elseif one >= 224 and one <= 239 then
    local fits = continues(two, one == 224 and 160, one == 237 and 159)
    return fits and continues(three) and at + 3
  elseif one >= 240 and one <= 244 then
    local fits = continues(two, one == 240 and 144, one == 244 and 143)
    return fits and continues(three) and continues(four) and at + 4
  end
end

local function is_utf8(text)
  local at = find(text, "[\128-\255]")
  while at do
    local after = after_wide(text, at)
    if not after then
      return false
    end
    at = find(text, "[\128-\255]", after)
  end
  return true
end

-- Doubles are not exact beyond 2^53, so 64 bits are compared as digits.
local function within(sign, digits, low, high)
  local most = sign == "-" and low or high
  digits = gsub(digits, "^0+", "")
  return #digits < #most or #digits == #most and digits <= most
end

-- `low`: without its sign.
local function whole(low, high)
  return function(text)
    local sign, digits = match(text, "^(%-?)(%d+)$")
    if digits then
      return within(sign, digits, low, high)
    end
    -- JSON's mapping takes 5.0 and 1e3 for whole numbers.
    local number = find(text, "^-?%d[%d.eE+-]*$") and tonumber(text)
    return number and number % 1 == 0
      and within(number < 0 and "-" or "", string.format("%.0f", number < 0 and -number or number), low, high)
  end
end

local function is_number(text)
  return tonumber(text) and find(text, "^-?%d[%d.eE+-]*$") or text == "NaN" or text == "Infinity" or text == "-Infinity"
end

local TIME = "^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d%.?%d*"

-- By kind: `quoted` says whether it stands in quotes in JSON (nil: either way), `good` what the text must be.
local KINDS = {
  string = {quoted = true, good = function() return true end, must = "be a string"},
  bytes = {quoted = true, good = function(text) return find(text, "^[%w+/_-]*=*$") end, must = "be base64 in a string"},
  bool = {quoted = false, good = function(text) return text == "true" or text == "false" end, must = "be true or false"},
  int32 = {good = whole("2147483648", "2147483647"), must = "be a whole number of 32 bits"},
  uint32 = {good = whole("0", "4294967295"), must = "be a whole number of 32 bits, not negative"},
  int64 = {good = whole("9223372036854775808", "9223372036854775807"), must = "be a whole number of 64 bits"},
  uint64 = {good = whole("0", "18446744073709551615"), must = "be a whole number of 64 bits, not negative"},
  number = {good = is_number, must = "be a number"},
  time = {
    quoted = true,
    good = function(text) return find(text, TIME .. "[Zz]$") or find(text, TIME .. "[+-]%d%d:%d%d$") end,
    must = "be a time such as 2026-01-31T12:00:00Z",
  },
  duration = {
    quoted = true,
    good = function(text) return find(text, "^-?%d+%.?%d*s$") end,
    must = "be a number of seconds such as 1.5s, in a string",
  },
}

local function wrong(place, must)
  refuse("WRONG_TYPE", "The value of `" .. plain(place) .. "` must " .. must .. ".", place)
end

local function check_enum(text, quoted, field, place)
  local names = ENUMS[field.of]
  if quoted == false or not quoted and find(text, "^-?%d") then
    if not KINDS.int32.good(text) then
      wrong(place, "be one of " .. table.concat(names, ", "))
    end
  elseif not names[text] then
    refuse("UNKNOWN_VALUE", "The value of `" .. plain(place) .. "` must be one of "
      .. table.concat(names, ", ") .. ".", place)
  end
end

-- `quoted`: whether it stood in quotes; nil in a query, where nothing does.
local function check_value(text, quoted, field, place)
  if field.kind == "enum" then
    return check_enum(text, quoted, field, place)
  end
  local kind = KINDS[field.kind]
  if quoted ~= nil and kind.quoted ~= nil and quoted ~= kind.quoted or not kind.good(text) then
    wrong(place, kind.must)
  end
end


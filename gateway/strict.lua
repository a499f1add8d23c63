-- The first filter of the edge: refuses what a request says and nobody would hear.
--
-- The transcoder drops unknown fields of a body without a word. This script knows every route and
-- every field (ROUTES, PATTERNS and TYPES, made from the contract, stand above it) and reads the body
-- as a stream of tokens, without building a tree: a name that the contract lacks, a name said twice, two
-- members of a oneof, or anything that is not strictly JSON is a 400 that names the place.
--
-- A field is a table: `name`, `json` (its other spelling), `kind` ("scalar", "message", "list", "map",
-- "any"), `of` (what a list or map holds, or the key of a message in TYPES) and `oneof`.

local byte, find, gmatch, gsub, lower, match, sub =
  string.byte, string.find, string.gmatch, string.gsub, string.lower, string.match, string.sub

local MAX_DEPTH = 32
local ANY = {kind = "any"}

for _, fields in pairs(TYPES) do
  for place = 1, #fields do
    local field = fields[place]
    fields[field.name], fields[field.json] = field, field
  end
end

local function refuse(reason, message)
  error({reason = reason, message = message}, 0)
end

-- A client's own words go into an answer only as far as they are harmless there.
local function plain(text)
  return (gsub(sub(text, 1, 80), "[^%w_.:@$%[%]-]", "?"))
end

local function malformed(path)
  refuse("MALFORMED_JSON", "The body is not strict JSON" .. (path ~= "" and (", near `" .. plain(path) .. "`.") or "."))
end

local function skip_space(text, at)
  local _, last = find(text, "^[ \t\r\n]*", at)
  return last + 1
end

-- The place after the string that begins at `at`.
local function skip_string(text, at, path)
  local place = at + 1
  while true do
    local found = find(text, '[%z\1-\31"\\]', place)
    local char = found and byte(text, found)
    if char == 34 then
      return found + 1
    elseif char ~= 92 then
      malformed(path)
    end
    local _, last = find(text, '^["\\/bfnrt]', found + 1)
    if not last then
      _, last = find(text, "^u%x%x%x%x", found + 1)
    end
    if not last then
      malformed(path)
    end
    place = last + 1
  end
end

local function skip_plain(text, at, path)
  local _, last = find(text, "^-?[1-9]%d*", at)
  if not last then
    _, last = find(text, "^-?0", at)
  end
  if last then
    local _, fraction = find(text, "^%.%d+", last + 1)
    last = fraction or last
    local _, exponent = find(text, "^[eE][+-]?%d+", last + 1)
    return (exponent or last) + 1
  end
  for _, word in ipairs({"true", "false", "null"}) do
    if sub(text, at, at + #word - 1) == word then
      return at + #word
    end
  end
  malformed(path)
end

local ESCAPES = {['"'] = '"', ["\\"] = "\\", ["/"] = "/"}

local function unescape(name)
  name = gsub(name, "\\u00(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end)
  return (gsub(name, '\\(["\\/])', ESCAPES))
end

-- A member's name and the place of its value.
local function read_name(text, at, path)
  local _, last, name = find(text, '^"([^"\\%z\1-\31]*)"[ \t\r\n]*:[ \t\r\n]*', at)
  if last then
    return name, last + 1
  end
  if byte(text, at) ~= 34 then
    malformed(path)
  end
  local after = skip_string(text, at, path)
  local colon = skip_space(text, after)
  if byte(text, colon) ~= 58 then
    malformed(path)
  end
  return unescape(sub(text, at + 1, after - 2)), skip_space(text, colon + 1)
end

local function named(fields, name, seen, path)
  local field = fields[name]
  if not field then
    refuse("UNKNOWN_FIELD", "There is no field `" .. plain(path .. name) .. "` in this request.")
  end
  if seen[field.name] then
    refuse("REPEATED_FIELD", "The field `" .. plain(path .. name) .. "` stands there twice.")
  end
  seen[field.name] = true
  return field
end

local function only_one(field, seen, path)
  local other = seen[field.oneof]
  if other then
    refuse("CONFLICTING_FIELDS", "Only one of `" .. plain(path .. other) .. "` and `" .. plain(path .. field.name) .. "` may be set.")
  end
  seen[field.oneof] = field.name
end

local skip_value

-- After a member or an element: the place of the next one, or nil and the place after the end.
local function next_one(text, at, closing, path)
  at = skip_space(text, at)
  local char = byte(text, at)
  if char == closing then
    return nil, at + 1
  elseif char ~= 44 then
    malformed(path)
  end
  return skip_space(text, at + 1)
end

-- `fields`: those of a message, or nil where any name goes; then `of` is what each value is.
local function skip_object(text, at, fields, of, path, depth)
  at = skip_space(text, at + 1)
  if byte(text, at) == 125 then
    return at + 1
  end
  local seen, after = {}, nil
  while at do
    local name
    name, at = read_name(text, at, path)
    local field = of
    if fields then
      field = named(fields, name, seen, path)
      if field.oneof and byte(text, at) ~= 110 then
        only_one(field, seen, path)
      end
    end
    local _
    at, after = next_one(text, skip_value(text, at, field, path, name, depth), 125, path)
  end
  return after
end

local function skip_array(text, at, of, path, depth)
  at = skip_space(text, at + 1)
  if byte(text, at) == 93 then
    return at + 1
  end
  local after
  while at do
    at, after = next_one(text, skip_value(text, at, of, path, "[]", depth), 93, path)
  end
  return after
end

local function mismatch(path, name)
  refuse("WRONG_TYPE", "The value of `" .. plain(path .. name) .. "` has the wrong type.")
end

function skip_value(text, at, field, path, name, depth)
  local char, kind = byte(text, at), field.kind
  if char == 123 then
    if depth == MAX_DEPTH then
      refuse("TOO_DEEP", "The body is nested too deeply.")
    elseif kind == "message" then
      return skip_object(text, at, TYPES[field.of], nil, path .. name .. ".", depth + 1)
    elseif kind == "map" then
      return skip_object(text, at, nil, field.of, path .. name .. ".", depth + 1)
    elseif kind == "any" then
      return skip_object(text, at, nil, ANY, path .. name .. ".", depth + 1)
    end
    mismatch(path, name)
  elseif char == 91 then
    if depth == MAX_DEPTH then
      refuse("TOO_DEEP", "The body is nested too deeply.")
    elseif kind == "list" then
      return skip_array(text, at, field.of, path .. name, depth + 1)
    elseif kind == "any" then
      return skip_array(text, at, ANY, path .. name, depth + 1)
    end
    mismatch(path, name)
  elseif kind ~= "scalar" and kind ~= "any" and char ~= 110 then
    if char == nil then
      malformed(path)
    end
    mismatch(path, name)
  elseif char == 34 then
    return skip_string(text, at, path)
  end
  return skip_plain(text, at, path)
end

-- `kind`: the key in TYPES of the message that the body is.
local function check_body(text, kind)
  local at, after = skip_space(text, 1), nil
  if byte(text, at) ~= 123 then
    refuse("MALFORMED_JSON", "The body must be a JSON object.")
  end
  after = skip_object(text, at, TYPES[kind], nil, "", 1)
  if skip_space(text, after) <= #text then
    malformed("")
  end
end

local function decode(text)
  return (gsub(gsub(text, "+", " "), "%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

local function check_query(query, known)
  local seen = {}
  for part in gmatch(query, "[^&]+") do
    local name = decode(match(part, "^[^=]*"))
    local field = known[name]
    if not field then
      refuse("UNKNOWN_PARAMETER", "There is no query parameter `" .. plain(name) .. "` at this path.")
    elseif seen[field.name] and not field.many then
      refuse("REPEATED_PARAMETER", "The query parameter `" .. plain(name) .. "` stands there twice.")
    end
    seen[field.name] = true
  end
end

-- The route of a verb at a path, as the transcoder finds it: the most specific that knows the verb.
-- Without one, the verbs that the path does know.
local function find_route(path, verb)
  local known = {}
  local function at(verbs)
    for name in pairs(verbs) do
      known[name] = true
    end
    return verbs[verb]
  end
  local route = ROUTES[path] and at(ROUTES[path])
  for place = 1, #PATTERNS do
    if route then
      break
    end
    local row = PATTERNS[place]
    route = find(path, row[1]) and at(row[2])
  end
  return route, known
end

local function answer(handle, status, code, problem, headers)
  if type(problem) ~= "table" then
    error(problem, 0)
  end
  headers = headers or {}
  headers[":status"] = status
  headers["content-type"] = "application/json"
  handle:streamInfo():dynamicMetadata():set("tulle.edge", "refused", true)
  handle:respond(headers, '{"code":' .. code .. ',"message":"' .. problem.message
    .. '","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"' .. problem.reason
    .. '","domain":"gateway.tulle","metadata":{}}]}')
end

local function allowed(verbs)
  local names = {}
  for verb in pairs(verbs) do
    names[#names + 1] = verb
  end
  table.sort(names)
  return table.concat(names, ", ")
end

local function is_json(kind)
  kind = lower(kind or "")
  return find(kind, "^application/json%s*$") or find(kind, "^application/json%s*;%s*charset=\"?utf%-8\"?%s*$")
end

local NO_PATH = {reason = "NO_SUCH_PATH", message = "There is nothing at this path."}
local NO_VERB = {reason = "METHOD_NOT_ALLOWED", message = "This path does not know that verb; see the header `allow`."}
local NO_UPGRADE = {reason = "UPGRADE_NOT_OFFERED", message = "No other protocol is spoken here."}
local NO_BODY = {reason = "UNEXPECTED_BODY", message = "This request takes no body."}
local NOT_JSON = {reason = "UNSUPPORTED_MEDIA_TYPE", message = "The body must be application/json, in UTF-8."}

local BROKEN = {reason = "INTERNAL", message = "Something went wrong; report it with the x-request-id."}

local function read_body(handle)
  local body = handle:body()
  local length = body and body:length() or 0
  return length > 0 and body:getBytes(0, length) or nil
end

local function check_rest(handle, headers)
  local path, query = match(headers:get(":path") or "", "^([^?]*)%??(.*)$")
  local kind = headers:get("content-type")
  if headers:get("upgrade") then
    return answer(handle, "400", 3, NO_UPGRADE)
  end
  local route, verbs = find_route(path, headers:get(":method"))
  if not next(verbs) then
    return answer(handle, "404", 5, NO_PATH)
  elseif not route then
    return answer(handle, "405", 12, NO_VERB, {["allow"] = allowed(verbs)})
  end
  local fine, problem = pcall(check_query, query, route.query)
  if not fine then
    return answer(handle, "400", 3, problem)
  end
  -- Waits for the whole body; `headers` is not valid any more after it.
  local text = read_body(handle)
  if not text then
    return
  elseif not route.body then
    return answer(handle, "400", 3, NO_BODY)
  elseif not is_json(kind) then
    return answer(handle, "415", 3, NOT_JSON)
  end
  fine, problem = pcall(check_body, text, route.body)
  if not fine then
    return answer(handle, "400", 3, problem)
  end
end

-- A client's own id goes into logs and events, so it is short and plain there; if nothing is left of it, ours.
local function tame_request_id(handle, headers)
  local id = headers:get("x-request-id")
  if id and (#id > 64 or find(id, "[^%w._-]")) then
    id = sub(gsub(id, "[^%w._-]", ""), 1, 64)
    headers:replace("x-request-id", id ~= "" and id or "edge-" .. handle:timestampString(EnvoyTimestampResolution.MICROSECOND))
  end
end

-- The scheme is known in any case (RFC 9110, 11.1), but what decides looks for one spelling.
local function spell_scheme(headers)
  local token = match(headers:get("authorization") or "", "^[Bb][Ee][Aa][Rr][Ee][Rr] +(.*)$")
  if token then
    headers:replace("authorization", "Bearer " .. token)
  end
end

-- What goes on to the services. gRPC resets a call with any other word of its own vocabulary, an odd
-- character in a name or too much of it all, which would be our fault in the client's eyes.
local PASSED, PASSED_GRPC = {}, {}
for _, name in ipairs({
  "accept", "authorization", "content-length", "content-type", "host", "te", "traceparent", "tracestate",
  "transfer-encoding", "upgrade", "user-agent", "x-forwarded-for", "x-forwarded-proto", "x-request-id",
}) do
  PASSED[name], PASSED_GRPC[name] = true, true
end
for _, name in ipairs({"grpc-accept-encoding", "grpc-encoding", "grpc-timeout"}) do
  PASSED_GRPC[name] = true
end

local function pass_on(headers, passed)
  local dropped = {}
  for name in pairs(headers) do
    if not passed[name] and byte(name) ~= 58 and sub(name, 1, 8) ~= "x-envoy-" then
      dropped[#dropped + 1] = name
    end
  end
  for place = 1, #dropped do
    headers:remove(dropped[place])
  end
  local timeout = headers:get("grpc-timeout")
  if timeout and not find(timeout, "^%d%d?%d?%d?%d?%d?%d?%d?[HMSmun]$") then
    headers:remove("grpc-timeout")
  end
end

local function check(handle)
  local headers = handle:headers()
  tame_request_id(handle, headers)
  spell_scheme(headers)
  local kind = headers:get("content-type")
  if kind == "application/grpc" or kind and find(kind, "^application/grpc%+") then
    return pass_on(headers, PASSED_GRPC)
  end
  pass_on(headers, PASSED)
  check_rest(handle, headers)
end

-- Envoy lets a request pass when a script fails; this one refuses it.
function envoy_on_request(handle)
  local fine, problem = pcall(check, handle)
  if not fine then
    handle:logErr("strict.lua: " .. tostring(problem))
    answer(handle, "500", 13, BROKEN)
  end
end

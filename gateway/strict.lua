-- The first filter of the edge: refuses what a request says and nobody would hear.
--
-- The transcoder drops unknown fields of a body without a word. This script knows every route and
-- every field (ROUTES, PATTERNS, TYPES, ENUMS and HEADERS, made from the contract, then values.lua and body.lua stand
-- above it): a name that the contract lacks, a name said twice, two members of a oneof, a value of the wrong
-- type, or anything that is not strictly JSON is a 400 that names the place.

local function decode(text)
  return (gsub(gsub(text, "+", " "), "%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

local function check_query(query, known)
  local seen = {}
  for part in gmatch(query, "[^&]+") do
    local name, value = match(part, "^([^=]*)=?(.*)$")
    name, value = decode(name), decode(value)
    local field = known[name]
    if not field then
      refuse("UNKNOWN_PARAMETER", "There is no query parameter `" .. plain(name) .. "` at this path.", name)
    elseif seen[field.name] and not field.many then
      refuse("REPEATED_PARAMETER", "The query parameter `" .. plain(name) .. "` stands there twice.", name)
    elseif not is_utf8(value) then
      wrong(name, "be UTF-8")
    end
    seen[field.name] = true
    check_value(value, nil, field, name)
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

-- Where it is wrong, for programs (google.rpc.BadRequest); the field as the client wrote it.
local function violation(problem)
  if not problem.field then
    return ""
  end
  return ',{"@type":"type.googleapis.com/google.rpc.BadRequest","fieldViolations":[{"field":"' .. plain(problem.field)
    .. '","description":"' .. problem.message .. '","reason":"' .. problem.reason .. '"}]}'
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
    .. '","domain":"gateway.tulle","metadata":{}}' .. violation(problem) .. "]}")
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
local BAD_PATH = {reason = "MALFORMED_PATH", message = "The path is not UTF-8."}
local ENCODED = {reason = "UNSUPPORTED_ENCODING", message = "The body must not be compressed."}
local NOT_JSON = {reason = "UNSUPPORTED_MEDIA_TYPE", message = "The body must be application/json, in UTF-8."}

local BROKEN = {reason = "INTERNAL", message = "Something went wrong; report it with the x-request-id."}

local function read_body(handle)
  local body = handle:body()
  local length = body and body:length() or 0
  return length > 0 and body:getBytes(0, length) or nil
end

-- What mail programs post at a click on "unsubscribe" (RFC 8058, 3.2). The address says everything, the body nothing.
local ONE_CLICK = "List-Unsubscribe=One-Click"

local function is_one_click(verb, kind, text)
  return verb == "POST" and text == ONE_CLICK and find(lower(kind or ""), "^application/x%-www%-form%-urlencoded%s*;?")
end

local function drop_body(handle)
  handle:body():setBytes("")
  handle:headers():replace("content-length", "0")
  handle:headers():replace("content-type", "application/json")
end

local function check_rest(handle, headers, encoding)
  local path, query = match(headers:get(":path") or "", "^([^?]*)%??(.*)$")
  local kind, verb = headers:get("content-type"), headers:get(":method")
  if headers:get("upgrade") then
    return answer(handle, "400", 3, NO_UPGRADE)
  end
  if not is_utf8(decode(path)) then
    return answer(handle, "400", 3, BAD_PATH)
  end
  local route, verbs = find_route(path, verb)
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
  elseif not route.body and not route.raw and is_one_click(verb, kind, text) then
    return drop_body(handle)
  elseif not route.body and not route.raw then
    return answer(handle, "400", 3, NO_BODY)
  elseif not is_json(kind) then
    return answer(handle, "415", 3, NOT_JSON)
  elseif encoding and lower(encoding) ~= "identity" then
    return answer(handle, "415", 3, ENCODED, {["accept-encoding"] = "identity"})
  end
  if route.raw then
    return
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
  local given = headers:get("authorization")
  if not given or find(given, "^Bearer [^ ]") then
    return
  end
  local token = match(given, "^[Bb][Ee][Aa][Rr][Ee][Rr] +(.*)$")
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
for _, name in ipairs(HEADERS) do
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
end

local function pass_on_grpc(headers)
  pass_on(headers, PASSED_GRPC)
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
    return pass_on_grpc(headers)
  end
  local encoding = headers:get("content-encoding")
  pass_on(headers, PASSED)
  check_rest(handle, headers, encoding)
end

-- Envoy lets a request pass when a script fails; this one refuses it.
function envoy_on_request(handle)
  local fine, problem = pcall(check, handle)
  if not fine then
    handle:logErr("strict.lua: " .. tostring(problem))
    answer(handle, "500", 13, BROKEN)
  end
end

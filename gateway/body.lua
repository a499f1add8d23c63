-- The body of a request, read as a stream of tokens without building a tree: strictly JSON, known names, right types.
--
-- A field is a table: `name`, `json` (its other spelling), `kind` ("message", "list", "map", "any", or one of
-- KINDS), `of` (what a list or map holds, the key of a message in TYPES or of an enum in ENUMS) and `oneof`.

local ANY = {kind = "any"}

for _, fields in pairs(TYPES) do
  for place = 1, #fields do
    local field = fields[place]
    fields[field.name], fields[field.json] = field, field
  end
end

local function malformed(path)
  local place = gsub(path, "%.$", "")
  if place == "" then
    refuse("MALFORMED_JSON", "The body is not strict JSON.")
  end
  refuse("MALFORMED_JSON", "The body is not strict JSON, in `" .. plain(place) .. "`.", place)
end

local function skip_space(text, at)
  local _, last = find(text, "^[ \t\r\n]*", at)
  return last + 1
end

-- The place after the escape at `at`.
local function skip_escape(text, at, path)
  local _, last = find(text, '^\\["\\/bfnrt]', at)
  if not last then
    _, last = find(text, "^\\u[dD][89aAbB]%x%x\\u[dD][c-fC-F]%x%x", at)
  end
  if not last and not find(text, "^\\u[dD][89a-fA-F]", at) then
    _, last = find(text, "^\\u%x%x%x%x", at)
  end
  return last and last + 1 or malformed(path)
end

-- The place after the string that begins at `at`. Byte by byte, which LuaJIT compiles; patterns it does not.
local function skip_string(text, at, path)
  local place = at + 1
  while true do
    local char = byte(text, place)
    if char == 34 then
      return place + 1
    elseif not char or char < 32 then
      malformed(path)
    elseif char == 92 then
      place = skip_escape(text, place, path)
    elseif char < 128 then
      place = place + 1
    else
      place = after_wide(text, place) or malformed(path)
    end
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
    last = exponent or last
    if find(text, "^[^ \t\r\n,%]}]", last + 1) then
      malformed(path)
    end
    return last + 1
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
  local _, last, name = find(text, '^"([^"\\%z\1-\31\128-\255]*)"[ \t\r\n]*:[ \t\r\n]*', at)
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
    refuse("UNKNOWN_FIELD", "There is no field `" .. plain(path .. name) .. "` in this request.", path .. name)
  end
  if seen[field.name] then
    refuse("REPEATED_FIELD", "The field `" .. plain(path .. name) .. "` stands there twice.", path .. name)
  end
  seen[field.name] = true
  return field
end

local function only_one(field, seen, path)
  local other = seen[field.oneof]
  if other then
    refuse("CONFLICTING_FIELDS", "Only one of `" .. plain(path .. other) .. "` and `" .. plain(path .. field.name) .. "` may be set.",
      path .. field.name)
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

local SHAPES = {message = "be an object", map = "be an object", list = "be an array"}

local function mismatch(path, name, field)
  local kind = KINDS[field.kind]
  wrong(path .. name, SHAPES[field.kind] or kind and kind.must or "be one of " .. table.concat(ENUMS[field.of], ", "))
end

local function too_deep(path, name)
  refuse("TOO_DEEP", "The body is nested too deeply.", path .. name)
end

-- A value that is neither object nor array. null stands for a field that is not there, so no list or map holds one.
local function skip_leaf(text, at, field, path, name)
  local char, kind = byte(text, at), field.kind
  local quoted = char == 34
  local after = quoted and skip_string(text, at, path) or skip_plain(text, at, path)
  if kind == "any" or quoted and kind == "string" or char == 110 and field.name then
    return after
  elseif not KINDS[kind] and kind ~= "enum" then
    mismatch(path, name, field)
  end
  local value = quoted and sub(text, at + 1, after - 2) or sub(text, at, after - 1)
  if quoted and find(value, "\\", 1, true) then
    value = unescape(value)
  end
  check_value(value, quoted, field, path .. name)
  return after
end

function skip_value(text, at, field, path, name, depth)
  local char, kind = byte(text, at), field.kind
  if char == 123 then
    if depth == MAX_DEPTH then
      too_deep(path, name)
    elseif kind == "message" then
      return skip_object(text, at, TYPES[field.of], nil, path .. name .. ".", depth + 1)
    elseif kind == "map" then
      return skip_object(text, at, nil, field.of, path .. name .. ".", depth + 1)
    elseif kind == "any" then
      return skip_object(text, at, nil, ANY, path .. name .. ".", depth + 1)
    end
    mismatch(path, name, field)
  elseif char == 91 then
    if depth == MAX_DEPTH then
      too_deep(path, name)
    elseif kind == "list" then
      return skip_array(text, at, field.of, path .. name, depth + 1)
    elseif kind == "any" then
      return skip_array(text, at, ANY, path .. name, depth + 1)
    end
    mismatch(path, name, field)
  end
  return skip_leaf(text, at, field, path, name)
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


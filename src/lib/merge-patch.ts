// JSON merge patch (RFC 7396): plain data in, plain data out. Keys like `__proto__` are data; nothing given is changed.
import { isJsonObject, type JsonObject, type JsonValue } from './json.ts'

/** Applies a patch: objects are merged, null takes a member away, all else replaces (RFC 7396 §2). */
export function mergePatch(target: JsonValue | undefined, patch: JsonValue): JsonValue {
  if (!isJsonObject(patch)) return patch
  // Without a prototype an assignment to `__proto__` makes a member like any other.
  const merged: JsonObject = Object.assign(Object.create(null), isJsonObject(target) ? target : {})
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete merged[key]
    else merged[key] = mergePatch(Object.hasOwn(merged, key) ? merged[key] : undefined, value)
  }
  return merged
}

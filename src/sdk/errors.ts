// Errors a client may see. Everything else that is thrown is a bug: 500 "internal error", the cause in the log.

/** An answer that says no. `message` is lower-case, names the field, holds no secret; an empty list of messages is `{"errors":[]}`. */
export class ApiError extends Error {
  override name = 'ApiError'
  readonly status: number
  readonly errors: readonly string[]
  /** Headers the answer carries besides (`Retry-After`, `Allow`). */
  readonly headers: Readonly<Record<string, string>> | undefined
  constructor(status: number, errors: string | readonly string[], headers?: Readonly<Record<string, string>>) {
    const list = typeof errors === 'string' ? [errors] : errors
    super(list.join('; '))
    this.status = status
    this.errors = list
    this.headers = headers
  }
}

/** 400: what the client sent cannot be used. */
export const invalid = (message: string): ApiError => new ApiError(400, message)
/** 403: the caller may not; says nothing about existence. */
export const denied = (message = 'permission denied'): ApiError => new ApiError(403, message)
/** 404 `{"errors":[]}`, or with a text. */
export const missing = (message?: string): ApiError => new ApiError(404, message ?? [])
/** 405: the path has no such operation. */
export const unsupported = (message = 'unsupported operation'): ApiError => new ApiError(405, message)
/** 409: somebody else was first. */
export const conflict = (message: string): ApiError => new ApiError(409, message)
/** 429: over a limit. */
export const limited = (message: string, headers?: Readonly<Record<string, string>>): ApiError =>
  new ApiError(429, message, headers)
/** 503 "Vault is sealed": the text that clients match. */
export const sealed = (): ApiError => new ApiError(503, 'Vault is sealed')
/** 503: cannot serve now. */
export const unavailable = (message: string): ApiError => new ApiError(503, message)

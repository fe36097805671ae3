// The ways a command ends without a result. Messages go to standard error as they are, so they never hold a token.

/** Ends the command with an exit code, a message and (when there is one) what to do next. */
export class CliError extends Error {
  override name = 'CliError'
  readonly code: number
  readonly hint: string | undefined
  constructor(code: number, message: string, hint?: string) {
    super(message)
    this.code = code
    this.hint = hint
  }
}

/** Exit code 1: the command line, a file or the configuration is wrong; nothing was asked of the server. */
export class UsageError extends CliError {
  constructor(message: string, hint?: string) {
    super(1, message, hint)
  }
}

/** The server answered with a status that says no; `body` is its parsed answer, `hint` the next step. */
export class AnswerError extends Error {
  override name = 'AnswerError'
  readonly status: number
  readonly errors: readonly string[]
  readonly body: unknown
  readonly hint: string | undefined
  constructor(answer: {
    readonly method: string
    readonly url: string
    readonly status: number
    readonly errors: readonly string[]
    readonly raw: boolean
    readonly namespace: string
    readonly body: unknown
    readonly hint: string | undefined
  }) {
    const lines = answer.raw ? answer.errors.join('\n') : answer.errors.map((text) => `* ${text}`).join('\n')
    super(
      `Error making API request.\n\n${answer.namespace === '' ? '' : `Namespace: ${answer.namespace}\n`}` +
        `URL: ${answer.method} ${answer.url}\nCode: ${answer.status}. ${answer.raw ? 'Raw Message' : 'Errors'}:\n\n${lines}`,
    )
    this.status = answer.status
    this.errors = answer.errors
    this.body = answer.body
    this.hint = answer.hint
  }
}

/** No answer came: refused, unknown host, TLS, timeout. `hint` says what to look at. */
export class ConnectError extends Error {
  override name = 'ConnectError'
  readonly hint: string | undefined
  constructor(message: string, hint: string | undefined) {
    super(message)
    this.hint = hint
  }
}

/** Instead of a request: the text asked for with -output-curl-string or -output-policy. */
export class Preview extends Error {
  override name = 'Preview'
}

/** Awaits a call to the server; a failure ends the command with `code` and `what: cause`. A `Preview` passes through. */
export async function orFail<T>(what: string, call: Promise<T>, code = 2): Promise<T> {
  try {
    return await call
  } catch (error) {
    throw failed(what, error, code)
  }
}

/** Turns a failed call into the error that ends the command; what is neither an answer nor a connection passes unchanged. */
export function failed(what: string, error: unknown, code = 2): unknown {
  if (error instanceof AnswerError || error instanceof ConnectError)
    return new CliError(code, what === '' ? error.message : `${what}: ${error.message}`, error.hint)
  return error
}

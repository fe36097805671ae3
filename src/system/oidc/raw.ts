// Answers that are no envelope: the documents and errors of OpenID Connect and OAuth 2.
import type { Reply } from '../../sdk/index.ts'

/** Answers with a JSON document. */
export const jsonReply = (
  value: Readonly<Record<string, unknown>>,
  status = 200,
  headers: Readonly<Record<string, string>> = {},
): Reply => ({
  status,
  raw: { body: JSON.stringify(value), contentType: 'application/json' },
  headers,
})

/** A no of OAuth. Unlike an `ApiError` it keeps what was written: a code that was tried is spent. Its texts hold nothing a client sent. */
export class Refusal extends Error {
  override name = 'Refusal'
  /** As the specifications name it: `invalid_grant`. */
  readonly code: string
  constructor(code: string, description: string) {
    super(description)
    this.code = code
  }
  /** The members of the answer. */
  get body(): { error: string; error_description: string } {
    return { error: this.code, error_description: this.message }
  }
}

/** Refuses. Throws a `Refusal`. */
export const refuse = (code: string, description: string): never => {
  throw new Refusal(code, description)
}

/** Runs an endpoint of OAuth, and answers what it refuses. */
export async function answering(run: () => Promise<Reply>, refused: (refusal: Refusal) => Reply): Promise<Reply> {
  try {
    return await run()
  } catch (error) {
    if (error instanceof Refusal) return { ...refused(error), refused: `${error.code}: ${error.message}` }
    throw error
  }
}

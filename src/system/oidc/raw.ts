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

/** The fields of an error of OAuth. The texts hold nothing that a client has sent. */
export interface OAuthError {
  readonly error: string
  readonly description: string
}

/** Makes an error of OAuth. */
export const oauthError = (error: string, description: string): OAuthError => ({ error, description })

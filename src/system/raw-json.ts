// Answers without an envelope: what clients read before there is anything else.
import type { Reply } from '../sdk/index.ts'

/** Makes an answer of this object alone. */
export const rawJson = (body: object, status?: number): Reply => ({
  raw: { body: `${JSON.stringify(body)}\n`, contentType: 'application/json' },
  ...(status !== undefined && { status }),
})

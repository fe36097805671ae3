// What a request that brings a key share says: the same for rekey, rotation and generate-root.
import { str } from '../sdk/index.ts'

/** Fields of a share. */
export const shareInput = {
  key: str('A share, hex or base64.').sensitive().default(''),
  nonce: str('Id of the attempt.').default(''),
}

export interface ShareInput {
  readonly key: string
  readonly nonce: string
}

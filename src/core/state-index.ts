// `X-Vault-Index`: what clients that want to read their own writes remember of an answer. Here every node proves each request against
// the store, so that no request need wait for an index; it is sent for those clients, and what they send back is not read.

/**
 * Names the state that a commit made, in Vault's form: base64 of `v1:<cluster>:<local>:<replicated>:<hmac, hex>`. The last part is empty:
 * nothing depends on an index, so there is nothing to be forged.
 */
export const stateIndex = (storeId: string, revision: number): string =>
  Buffer.from(`v1:${storeId}:${revision}:${revision}:`, 'latin1').toString('base64')

// What can go wrong below the barrier, said without a secret.

/** The keys are not in memory: the store, or the namespace whose data was asked for, is sealed. The pipeline answers 503. */
export class Sealed extends Error {
  override name = 'Sealed'
  /** Key prefix of the sealed namespace; undefined when the whole store is sealed. */
  readonly prefix: string | undefined
  constructor(prefix?: string) {
    super(prefix === undefined ? 'Vault is sealed' : 'namespace is sealed')
    this.prefix = prefix
  }
}

/** A stored value does not authenticate under the key it names: altered, moved from another key, or damaged. */
export class Undecryptable extends Error {
  override name = 'Undecryptable'
}

/** A key share or combination of shares does not open; the client sees 400 with this text. */
export class InvalidKey extends Error {
  override name = 'InvalidKey'
  constructor(reason: string) {
    super(`invalid key: ${reason}`)
  }
}

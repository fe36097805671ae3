// A value of the configuration that must not be seen: it cannot be printed by accident, only revealed on purpose.
import { inspect } from 'node:util'

/** Holds a secret text as written (`file://` and `env://` unresolved). Every way of printing it gives "[redacted]". */
export class Secret {
  readonly #text: string
  constructor(text: string) {
    this.#text = text
  }
  /** Gives the text; for the one place that uses it. */
  reveal(): string {
    return this.#text
  }
  toString(): string {
    return '[redacted]'
  }
  toJSON(): string {
    return '[redacted]'
  }
  [inspect.custom](): string {
    return '[redacted]'
  }
}

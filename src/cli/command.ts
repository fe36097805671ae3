// What a command is: a declaration (words, flags, arguments, help) and one function. Help and completion are read from it.
import type { JsonObject } from '../lib/json.ts'
import type { Client } from './client.ts'
import type { FlagTable, FlagValues } from './flags.ts'
import type { GlobalFlags } from './globals.ts'
import type { CliIo } from './io.ts'
import type { Ui } from './render.ts'

/** The arguments behind the flags: `usage` as help shows them, how many there may be, what completion may offer. */
export interface ArgsSpec {
  readonly usage: string
  readonly min: number
  readonly max: number
  readonly complete?: 'files' | readonly string[]
}

/** What a running command may use. `client` gives the same client each time; `data` reads key=value arguments. */
export interface Context<F extends FlagTable = FlagTable> {
  readonly args: readonly string[]
  readonly flags: FlagValues<F>
  readonly given: ReadonlySet<string>
  readonly globals: GlobalFlags
  readonly io: CliIo
  readonly ui: Ui
  readonly commands: readonly Command[]
  client(): Promise<Client>
  clientWithoutToken(): Promise<Client>
  stdin(): Promise<string>
  data(args: readonly string[]): Promise<JsonObject>
}

/**
 * A command. `online` adds the flags that say how to reach a server; `field` allows -field; `raw` allows -format=raw.
 * `run` returns the exit code and may throw `CliError`. A flag of its own hides the global flag of the same name.
 */
export interface Command {
  readonly words: readonly string[]
  readonly synopsis: string
  readonly help: string
  readonly args: ArgsSpec
  readonly flags: FlagTable
  readonly online: boolean
  readonly field: boolean
  readonly raw: boolean
  readonly hidden: boolean
  run(context: Context): Promise<number>
}

/** What a declaration says; `args` is "none" when left out, the rest false or empty, `online` true. */
export interface CommandSpec<F extends FlagTable> {
  readonly words: readonly string[]
  readonly synopsis: string
  readonly help?: string
  readonly args?: ArgsSpec
  readonly flags?: F
  readonly online?: boolean
  readonly field?: boolean
  readonly raw?: boolean
  readonly hidden?: boolean
  run(context: Context<F>): Promise<number>
}

/** No arguments. */
export const noArgs: ArgsSpec = { usage: '', min: 0, max: 0 }
/** Exactly one argument, named as help shows it. */
export const oneArg = (usage: string, complete?: 'files' | readonly string[]): ArgsSpec => ({
  usage,
  min: 1,
  max: 1,
  ...(complete ? { complete } : {}),
})

/** Makes a command of a declaration; the flags keep their types inside `run`. */
export function command<F extends FlagTable = Record<never, never>>(spec: CommandSpec<F>): Command {
  return {
    words: spec.words,
    synopsis: spec.synopsis,
    help: spec.help ?? '',
    args: spec.args ?? noArgs,
    flags: spec.flags ?? {},
    online: spec.online ?? true,
    field: spec.field ?? false,
    raw: spec.raw ?? false,
    hidden: spec.hidden ?? false,
    run: (context) => spec.run(context as unknown as Context<F>),
  }
}

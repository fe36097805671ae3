// A process that works off due entries over a SQLite file, for jobs.test.ts: FILE NAME [GATE]. With a gate its work takes until that
// file is there. It says what it does, one word and its name a line.
import { existsSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { jobRunner } from '../../src/core/jobs.ts'
import { sqliteStorage } from '../../src/storage/sqlite.ts'

const [file, name, gate] = process.argv.slice(2) as [string, string, string | undefined]
const say = (word: string): void => void process.stdout.write(`${word} ${name}\n`)
const jobs = jobRunner({
  handlers: new Map([
    [
      'work',
      async (tx, { id }) => {
        say('begins')
        while (gate && !existsSync(gate)) await pause(10)
        tx.put(`by/${name}/${id}`, Buffer.from('x'))
        say('ends')
        return undefined
      },
    ],
  ]),
  now: Date.now,
  log: (_level, message) => say(message),
})
jobs.start(await sqliteStorage({ path: file }))
say('ready')
// The timers of the runner keep no process alive.
setInterval(() => {}, 1000)

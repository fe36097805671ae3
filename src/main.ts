// The `coffer` program: argv -> command line or server.
import { processIo, runCli } from './cli/main.ts'

// A server pulls in everything; other commands must start fast.
const [word, second] = process.argv.slice(2).filter((arg) => !arg.startsWith('-'))
const needsServer =
  word === undefined ||
  ['server', 'generate', 'completion', 'help'].includes(word) ||
  (word === 'operator' && [undefined, 'validate-config', 'migrate'].includes(second))
const extra = needsServer ? (await import('./commands.ts')).serverCommands : []
process.exitCode = await runCli(process.argv.slice(2), processIo(), extra)
if (word === 'server') process.exit()

// completion: prints the script that completes commands in a shell.
import { type Command, command, oneArg } from '../command.ts'
import { completionScript, type Shell, shells } from '../completion.ts'
import { UsageError } from '../errors.ts'

/** What to do to have completion, for -autocomplete-install. */
export const installText = `Completion is a script that this command prints; nothing is installed by itself.

  bash    echo 'source <(coffer completion bash)' >> ~/.bashrc
  zsh     echo 'source <(coffer completion zsh)' >> ~/.zshrc      (behind compinit)
  fish    coffer completion fish > ~/.config/fish/completions/coffer.fish

Then open a new shell. To undo it, remove that line or file.`

const completion = command({
  words: ['completion'],
  synopsis: 'Print a completion script for bash, zsh or fish',
  help: installText.replaceAll('\n', '\n  '),
  args: oneArg('SHELL', shells),
  online: false,
  async run(context) {
    const shell = shells.find((known) => known === context.args[0])
    if (shell === undefined) throw new UsageError(`the shell must be one of ${shells.join(', ')}`)
    context.io.stdout.write(completionScript(shell as Shell, context.commands))
    return 0
  },
})

/** The completion command. */
export const completionCommands: readonly Command[] = [completion]

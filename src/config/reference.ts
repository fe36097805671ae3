// docs/configuration.md, printed from the table of keys.
import { sections } from './sections.ts'

const head = `# Configuration

<!-- Printed from src/config/sections.ts; change it there. -->

\`coffer server -config=FILE\` reads one file, \`-config=FOLDER\` all \`*.hcl\` and \`*.json\` of a folder in order of their names.
\`-config\` may be given several times. A later file overrides single keys and stanzas of which there is one, and adds listeners,
seals, audit devices and lockouts. Files are HCL or JSON. Vault's and OpenBao's names are understood; an unknown key warns with its line
and has no effect. \`coffer operator validate-config FILE\` shows everything wrong without starting a server.

\`\`\`hcl
storage "sqlite" {
  path = "/var/lib/coffer/coffer.db"
}

listener "tcp" {
  address       = "0.0.0.0:8200"
  tls_cert_file = "/etc/coffer/tls.crt"
  tls_key_file  = "/etc/coffer/tls.key"
}

seal "static" {
  current_key_id = "2026-01"
  current_key    = "file:///etc/coffer/unseal.key"
}

api_addr = "https://vault.example.com:8200"
\`\`\`

Durations are texts such as \`"90s"\`, \`"15m"\`, \`"1h30m"\`, \`"2d"\`, or a number of seconds. Booleans may be written \`true\`, \`"true"\` or \`1\`.
Lists of texts may be written as one text with commas.
`

const cell = (text: string): string => text.replaceAll('|', '\\|')

/** Prints the reference of all keys (markdown). */
export function configReference(): string {
  const parts = sections.map((section) => {
    const rows = Object.values(section.keys).map(
      (key) =>
        `| \`${key.name}\` | ${cell(key.kind)} | ${key.shown === '' ? '' : cell(key.shown)} | ${cell(key.help)} |`,
    )
    const ignored = Object.entries(section.ignored).map(([name, reason]) => `- \`${name}\`: ${reason}`)
    return [
      `## ${section.title}`,
      section.help,
      ['| Key | Value | Default | Meaning |', '| --- | --- | --- | --- |', ...rows].join('\n'),
      ...(ignored.length > 0 ? [`Understood without effect (a warning says so):\n\n${ignored.join('\n')}`] : []),
    ].join('\n\n')
  })
  return `${[head, ...parts].join('\n')}\n`.replaceAll('\n## ', '\n\n## ').replaceAll('\n\n\n', '\n\n')
}

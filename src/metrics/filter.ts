// Which metrics are shown, by `prefix_filter` and `filter_default`: the longest prefix that fits decides.

/** Makes the filter of full names; rules begin with + or -, others were refused with the configuration. */
export function nameFilter(rules: readonly string[], otherwise: boolean): (name: string) => boolean {
  const longestFirst = rules
    .map((rule) => ({ prefix: rule.slice(1), show: rule.startsWith('+') }))
    .sort((a, b) => b.prefix.length - a.prefix.length)
  return (name) => longestFirst.find(({ prefix }) => name.startsWith(prefix))?.show ?? otherwise
}

const SPECIAL = new Set(["http", "https", "ws", "wss", "ftp"]);

/** What Meilisearch finds wrong with a URL, in its words; undefined for a URL. */
export function urlFault(text: string): string | undefined {
  if (URL.canParse(text)) return undefined;
  // A URL may have white space around it.
  const [, scheme, rest] = /^\s*([a-zA-Z][a-zA-Z0-9+.-]*):(.*)$/s.exec(text) ?? [];
  if (scheme === undefined || rest === undefined) return "relative URL without a base";
  const isSpecial = SPECIAL.has(scheme.toLowerCase());
  const authority = isSpecial ? /^[/\\]*([^/\\?#]*)/.exec(rest)?.[1] : /^\/\/([^/?#]*)/.exec(rest)?.[1];
  const place = (authority ?? "").trimEnd().replace(/^.*@/s, "");
  if (place.startsWith("[")) {
    const end = place.indexOf("]");
    const isAddress = end > 0 && URL.canParse(`http://${place.slice(0, end + 1)}`);
    return isAddress ? "invalid port number" : "invalid IPv6 address";
  }
  const [, host = "", port] = /^([^:]*)(?::(.*))?$/s.exec(place) ?? [];
  if (host === "") return "empty host";
  if (isSpecial ? URL.canParse(`http://${host}`) : URL.canParse(`x://${host}`)) {
    return port === undefined ? "invalid domain character" : "invalid port number";
  }
  if (!isSpecial) return "invalid domain character";
  return /(?:^|\.)(?:\d+|0[xX][0-9a-fA-F]*)\.?$/.test(host)
    ? "invalid IPv4 address"
    : "invalid international domain name";
}

import { describe, expect, it } from "vitest";
import { exportDetails, printByteSize } from "../../../src/control/exports/export-details.js";
import { ByteSizeFault, parseByteSize } from "../../../src/proxy/http/byte-size.js";
import { urlFault } from "../../../src/proxy/http/url-fault.js";
import { maskSecret } from "../../../src/settings/mask-secret.js";

const read = (text: string): string => {
  const size = parseByteSize(text);
  return size instanceof ByteSizeFault ? size.message : printByteSize(size);
};

describe("sizes, as Meilisearch v1.50 reads and prints them", () => {
  it.each([
    ["100", "100 B"],
    ["1000", "1 KB"],
    ["1023", "1.023 KB"],
    ["1.5 KB", "1.46484375 KiB"],
    ["24MiB", "24 MiB"],
    ["5 Mb", "610.3515625 KiB"],
    ["5 kib", "640 B"],
    ["5 bits", "1 B"],
    ["0.0001 KB", "1 B"],
    ["1e", "1 EB"],
    ["18446744073709551615", "16 EiB"],
    [" 5 ", "5 B"],
    ["", "no value can be found"],
    ["1..2", "the character '.' is not a number"],
    ["1.x", "the character 'x' is not a number"],
    ["99 E", "the value 99 exceeds the valid range"],
    ["5 Bx", "the character 'x' is incorrect ('i' or no character is expected)"],
    ["5 bit s", "the character ' ' is incorrect ('s' or no character is expected)"],
    ["1 KX", "the character 'X' is incorrect ('B', 'b' or no character or no character is expected)"],
    [
      "1\tMB",
      "the character '\\t' is incorrect ('B', 'K', 'M', 'G', 'T', 'P', 'E' or no character or no character is expected)",
    ],
  ])("%j", (text, wanted) => {
    expect(read(text)).toBe(wanted);
  });
});

it.each([
  ["http://example.com:8443/a?b#c", undefined],
  ["ftp://x", undefined],
  [" http://x ", undefined],
  ["nope", "relative URL without a base"],
  ["//x", "relative URL without a base"],
  ["http://user:pw@", "empty host"],
  ["http://a b", "invalid international domain name"],
  ["http://a:b@c:99999", "invalid port number"],
  ["http://1.2.3.256", "invalid IPv4 address"],
  ["http://[::1", "invalid IPv6 address"],
  ["foo://a b", "invalid domain character"],
  ["foo://a:99999", "invalid port number"],
])("what is wrong with the URL %j", (url, fault) => {
  expect(urlFault(url)).toBe(fault);
});

it.each([
  ["", 0, "XXX..."],
  ["123456789", 0, "XXX..."],
  ["1234567890", 0, "12XXXX..."],
  ["12345678901234567890", 0, "123XXXXX..."],
  ["123456789012345678901234567890", 0, "12345XXXXXX..."],
  ["Bearer 1234567890", 7, "Bearer 12XXXX..."],
  ["éééééé", 0, "éXXXX..."],
  ["ab", 7, "ab"],
])("the secret %j behind %i bytes is shown as %j", (secret, offset, shown) => {
  expect(maskSecret(secret, offset)).toBe(shown);
});

it("an export's task shows what was asked, then what was done, and no key", () => {
  const shown = { url: "http://x", apiKey: "a-key-of-15-let", payloadSize: 2_048n };
  const asked = { name: "a*", filterJson: '"b = 1"', overrideSettings: true };
  expect(exportDetails(shown, [asked])).toBe(
    '{"url":"http://x","apiKey":"a-XXXX...","payloadSize":"2 KiB","indexes":{"a*":{"filter":"b = 1","overrideSettings":true}}}',
  );
  const done = { name: "ab", filterJson: undefined, overrideSettings: false, matchedDocuments: 3 };
  expect(exportDetails({ url: "" }, [done])).toBe(
    '{"url":"","indexes":{"ab":{"filter":null,"overrideSettings":false,"matched_documents":3}}}',
  );
});

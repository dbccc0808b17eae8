import type { Filter, FilterToken } from "./parser.js";

/** A filter's normal text, and where a given token stands in it. */
export interface PrintedFilter {
  readonly text: string;
  readonly start: number;
  readonly end: number;
}

/** Prints a filter as Meilisearch's search errors show it, and locates `token` in it. */
export function printFilter(filter: Filter, token: FilterToken): PrintedFilter {
  let text = "";
  let start = 0;
  let end = 0;
  const quote = (value: FilterToken) => {
    const escaped = value.text.replaceAll("\\", "\\\\").replaceAll('"', '\\"');
    if (value === token) {
      start = text.length + 1;
      end = start + escaped.length;
    }
    text += `"${escaped}"`;
  };
  const list = (filters: readonly Filter[], word: string) => {
    for (const [i, below] of filters.entries()) {
      text += i === 0 ? "(" : `${word}(`;
      print(below);
      text += ")";
    }
  };
  const operation = (field: FilterToken, words: string, value?: FilterToken) => {
    quote(field);
    text += ` ${words}`;
    if (value === undefined) return;
    text += " ";
    quote(value);
  };
  const print = (node: Filter): void => {
    switch (node.kind) {
      case "and":
        list(node.filters, " AND ");
        return;
      case "or":
        list(node.filters, " OR ");
        return;
      case "not":
        text += "NOT (";
        print(node.filter);
        text += ")";
        return;
      case "compare":
        operation(node.field, node.operator, node.value);
        return;
      case "contains":
        operation(node.field, "CONTAINS", node.value);
        return;
      case "startsWith":
        operation(node.field, "STARTS WITH", node.value);
        return;
      case "exists":
        operation(node.field, "EXISTS");
        return;
      case "null":
        operation(node.field, "IS NULL");
        return;
      case "empty":
        operation(node.field, "IS EMPTY");
        return;
      case "to":
        operation(node.field, "", node.from);
        text += " TO ";
        quote(node.to);
        return;
      case "in":
        quote(node.field);
        text += " IN [";
        for (const [i, value] of node.values.entries()) {
          if (i > 0) text += ", ";
          quote(value);
        }
        text += "]";
        return;
      case "radius":
        text += "_geoRadius(";
        start = text.length;
        text += String(node.center.lat);
        end = text.length;
        text += `, ${node.center.lng}, ${node.meters})`;
        return;
      case "box":
        text += "_geoBoundingBox([";
        start = text.length;
        text += String(node.topRight.lat);
        end = text.length;
        text += `, ${node.topRight.lng}], [${node.bottomLeft.lat}, ${node.bottomLeft.lng}])`;
        return;
      case "polygon":
        text += `_geoPolygon(${node.points.map((point) => `[${point.lat}, ${point.lng}]`).join(", ")})`;
        return;
    }
  };
  print(filter);
  return { text, start, end };
}

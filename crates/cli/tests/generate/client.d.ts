// What the generated file needs of `@landfall/client`.
declare module "@landfall/client" {
  type Type = "uuid" | "text" | "integer" | "float" | "decimal" | "boolean" | "timestamp" | "date" | "json" | "bytes";
  interface Column {
    readonly type: Type;
    readonly scale?: number;
    readonly nullable?: boolean;
  }
  export interface Schema<Tables, Shapes> {
    readonly name: string;
    readonly version: number;
    readonly tables: {
      readonly [T in keyof Tables]: {
        readonly key: readonly string[];
        readonly sync: boolean;
        readonly columns: { readonly [column: string]: Column };
      };
    };
    readonly shapes: {
      readonly [S in keyof Shapes]: {
        readonly table: keyof Tables;
        readonly params: { readonly [name: string]: Column };
      };
    };
    readonly compiled: string;
  }
}

// Made by `landfall generate` from landfall.toml; made anew rather than edited.

import type { Schema } from "@landfall/client";

/** A row of `products`. */
export interface Products {
  /** uuid, key */
  id: string;
  /** text, required */
  name: string;
  /** integer, required, at least 0 */
  price: number | bigint;
  /** integer, required, at least 0 */
  stock: number | bigint;
}

/** What an insert into `products` takes; what may be left out has a default or is NULL. */
export interface ProductsInsert {
  id: string;
  name: string;
  price: number | bigint;
  stock: number | bigint;
}

/** What an update of `products` takes; a key never changes. */
export interface ProductsUpdate {
  name?: string;
  price?: number | bigint;
  stock?: number | bigint;
}

/** The key of a row of `products`: its `id`. */
export type ProductsKey = string;

/** A row of `cart`. */
export interface Cart {
  /** text, key, at most 100 characters */
  owner: string;
  /** uuid, key, a row of `products`, deleted with it */
  product: string;
  /** integer, required, at least 1 */
  count: number | bigint;
}

/** What an insert into `cart` takes; what may be left out has a default or is NULL. */
export interface CartInsert {
  owner: string;
  product: string;
  count: number | bigint;
}

/** What an update of `cart` takes; a key never changes. */
export interface CartUpdate {
  count?: number | bigint;
}

/** The key of a row of `cart`. */
export interface CartKey {
  owner: string;
  product: string;
}

/** A row of `orders`. */
export interface Orders {
  /** uuid, key, by default a new one */
  id: string;
  /** text, required */
  owner: string;
  /** integer, filled by the server, null until then */
  total: number | bigint | null;
}

/** What an insert into `orders` takes; what may be left out has a default or is NULL. */
export interface OrdersInsert {
  id?: string;
  owner: string;
}

/** What an update of `orders` takes; a key never changes. */
export interface OrdersUpdate {
  owner?: string;
}

/** The key of a row of `orders`: its `id`. */
export type OrdersKey = string;

/** A row of `lines`. */
export interface Lines {
  /** uuid, key, a row of `orders`, deleted with it */
  order: string;
  /** uuid, key, a row of `products`, which then cannot be deleted */
  product: string;
  /** text, required */
  owner: string;
  /** integer, required, at least 1 */
  count: number | bigint;
}

/** What an insert into `lines` takes; what may be left out has a default or is NULL. */
export interface LinesInsert {
  order: string;
  product: string;
  owner: string;
  count: number | bigint;
}

/** What an update of `lines` takes; a key never changes. */
export interface LinesUpdate {
  owner?: string;
  count?: number | bigint;
}

/** The key of a row of `lines`. */
export interface LinesKey {
  order: string;
  product: string;
}

/** Each table's row, and what insert, update and key take. */
export interface Tables {
  products: { row: Products; insert: ProductsInsert; update: ProductsUpdate; key: ProductsKey };
  cart: { row: Cart; insert: CartInsert; update: CartUpdate; key: CartKey };
  orders: { row: Orders; insert: OrdersInsert; update: OrdersUpdate; key: OrdersKey };
  lines: { row: Lines; insert: LinesInsert; update: LinesUpdate; key: LinesKey };
}

/** What a device can hold: each shape's parameters. */
export interface Shapes {
  /** Rows of `products`. */
  all_products: Record<string, never>;
  /** Rows of `cart`. */
  my_cart: Record<string, never>;
  /** Rows of `orders`. */
  my_orders: Record<string, never>;
}

/** What a transaction can ask of the server: each action's arguments. */
export interface Actions {
  checkout: {
    /** uuid, required, a row of `orders` */
    order: string;
  };
}

/** The schema, for `openDatabase`. */
export const schema: Schema<Tables, Shapes, Actions> = {
  name: "shop",
  version: 1,
  tables: {
    products: {
      key: ["id"],
      sync: true,
      columns: {
        id: { type: "uuid" },
        name: { type: "text" },
        price: { type: "integer" },
        stock: { type: "integer" },
      },
    },
    cart: {
      key: ["owner", "product"],
      sync: true,
      columns: {
        owner: { type: "text" },
        product: { type: "uuid" },
        count: { type: "integer" },
      },
    },
    orders: {
      key: ["id"],
      sync: true,
      columns: {
        id: { type: "uuid" },
        owner: { type: "text" },
        total: { type: "integer", nullable: true, assigned: true },
      },
    },
    lines: {
      key: ["order", "product"],
      sync: true,
      columns: {
        order: { type: "uuid" },
        product: { type: "uuid" },
        owner: { type: "text" },
        count: { type: "integer" },
      },
    },
  },
  shapes: {
    all_products: {
      table: "products",
      params: {},
    },
    my_cart: {
      table: "cart",
      params: {},
    },
    my_orders: {
      table: "orders",
      params: {},
    },
  },
  actions: {
    checkout: {
      args: {
        order: { type: "uuid" },
      },
    },
  },
  compiled: [
    '{"name":"shop","version":1,"tables":[{"name":"products","columns":[{"name":"id","type":"uuid","requi',
    'red":true,"default":null,"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"referen',
    'ces":null,"unique":false,"merge":"lww"},{"name":"name","type":"text","required":true,"default":null,',
    '"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":false,',
    '"merge":"lww"},{"name":"price","type":"integer","required":true,"default":null,"max_length":null,"pa',
    'ttern":null,"min":{"int":"0"},"max":null,"one_of":[],"references":null,"unique":false,"merge":"lww"}',
    ',{"name":"stock","type":"integer","required":true,"default":null,"max_length":null,"pattern":null,"m',
    'in":{"int":"0"},"max":null,"one_of":[],"references":null,"unique":false,"merge":"lww"}],"primary_key',
    '":["id"],"sync":true,"on_delete_conflict":"update_wins","access":{"read":null,"insert":{"literal":{"',
    'bool":false}},"update":{"literal":{"bool":false}},"delete":{"literal":{"bool":false}}}},{"name":"car',
    't","columns":[{"name":"owner","type":"text","required":true,"default":null,"max_length":100,"pattern',
    '":null,"min":null,"max":null,"one_of":[],"references":null,"unique":false,"merge":"lww"},{"name":"pr',
    'oduct","type":"uuid","required":true,"default":null,"max_length":null,"pattern":null,"min":null,"max',
    '":null,"one_of":[],"references":{"table":"products","on_delete":"cascade"},"unique":false,"merge":"l',
    'ww"},{"name":"count","type":"integer","required":true,"default":null,"max_length":null,"pattern":nul',
    'l,"min":{"int":"1"},"max":null,"one_of":[],"references":null,"unique":false,"merge":"lww"}],"primary',
    '_key":["owner","product"],"sync":true,"on_delete_conflict":"update_wins","access":{"read":{"compare"',
    ':{"op":"=","left":{"column":{"name":"owner","type":"text"}},"right":{"claim":{"name":"sub","type":"t',
    'ext"}}}},"insert":{"compare":{"op":"=","left":{"column":{"name":"owner","type":"text"}},"right":{"cl',
    'aim":{"name":"sub","type":"text"}}}},"update":{"compare":{"op":"=","left":{"column":{"name":"owner",',
    '"type":"text"}},"right":{"claim":{"name":"sub","type":"text"}}}},"delete":{"compare":{"op":"=","left',
    '":{"column":{"name":"owner","type":"text"}},"right":{"claim":{"name":"sub","type":"text"}}}}}},{"nam',
    'e":"orders","columns":[{"name":"id","type":"uuid","required":true,"default":"uuid","max_length":null',
    ',"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":false,"merge":"lww"},{"',
    'name":"owner","type":"text","required":true,"default":null,"max_length":null,"pattern":null,"min":nu',
    'll,"max":null,"one_of":[],"references":null,"unique":false,"merge":"lww"},{"name":"total","type":"in',
    'teger","required":false,"default":null,"max_length":null,"pattern":null,"min":null,"max":null,"one_o',
    'f":[],"references":null,"unique":false,"merge":"lww","assigned":true}],"primary_key":["id"],"sync":t',
    'rue,"on_delete_conflict":"update_wins","access":{"read":{"compare":{"op":"=","left":{"column":{"name',
    '":"owner","type":"text"}},"right":{"claim":{"name":"sub","type":"text"}}}},"insert":{"compare":{"op"',
    ':"=","left":{"column":{"name":"owner","type":"text"}},"right":{"claim":{"name":"sub","type":"text"}}',
    '}},"update":{"literal":{"bool":false}},"delete":{"literal":{"bool":false}}}},{"name":"lines","column',
    's":[{"name":"order","type":"uuid","required":true,"default":null,"max_length":null,"pattern":null,"m',
    'in":null,"max":null,"one_of":[],"references":{"table":"orders","on_delete":"cascade"},"unique":false',
    ',"merge":"lww"},{"name":"product","type":"uuid","required":true,"default":null,"max_length":null,"pa',
    'ttern":null,"min":null,"max":null,"one_of":[],"references":{"table":"products","on_delete":"restrict',
    '"},"unique":false,"merge":"lww"},{"name":"owner","type":"text","required":true,"default":null,"max_l',
    'ength":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":null,"unique":false,"merge',
    '":"lww"},{"name":"count","type":"integer","required":true,"default":null,"max_length":null,"pattern"',
    ':null,"min":{"int":"1"},"max":null,"one_of":[],"references":null,"unique":false,"merge":"lww"}],"pri',
    'mary_key":["order","product"],"sync":true,"on_delete_conflict":"update_wins","access":{"read":{"comp',
    'are":{"op":"=","left":{"column":{"name":"owner","type":"text"}},"right":{"claim":{"name":"sub","type',
    '":"text"}}}},"insert":{"compare":{"op":"=","left":{"column":{"name":"owner","type":"text"}},"right":',
    '{"claim":{"name":"sub","type":"text"}}}},"update":{"literal":{"bool":false}},"delete":{"literal":{"b',
    'ool":false}}}}],"shapes":[{"name":"all_products","table":"products","where":null,"params":[],"column',
    's":null},{"name":"my_cart","table":"cart","where":null,"params":[],"columns":null},{"name":"my_order',
    's","table":"orders","where":null,"params":[],"columns":null}],"actions":[{"name":"checkout","sending',
    '":{"priority":50,"attempts":5,"deny":true},"args":[{"name":"order","type":"uuid","required":true,"de',
    'fault":null,"max_length":null,"pattern":null,"min":null,"max":null,"one_of":[],"references":{"table"',
    ':"orders","on_delete":"restrict"},"unique":false,"merge":"lww"}]}]}',
  ].join(""),
};

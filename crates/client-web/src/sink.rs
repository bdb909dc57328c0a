//! What is called in JavaScript: the worker's side of the engine's effects. None of these may call back into the engine
//! before the call that caused them has returned.

use js_sys::{Array, Uint8Array};
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    /// The worker's receiver of effects.
    pub type Sink;

    #[wasm_bindgen(method)]
    pub fn connect(this: &Sink, connection: f64);
    #[wasm_bindgen(method)]
    pub fn disconnect(this: &Sink, connection: f64);
    #[wasm_bindgen(method)]
    pub fn send(this: &Sink, connection: f64, frame: Uint8Array);
    #[wasm_bindgen(method)]
    pub fn fetch(this: &Sink, request: f64, address: &str);
    #[wasm_bindgen(method)]
    pub fn status(this: &Sink, json: &str);
    #[wasm_bindgen(method)]
    pub fn rows(this: &Sink, query: f64, json: &str);
    #[wasm_bindgen(method, js_name = queryFailed)]
    pub fn query_failed(this: &Sink, query: f64, reason: &str);
    #[wasm_bindgen(method)]
    pub fn shape(this: &Sink, handle: f64, complete: bool, failure: &JsValue);
    #[wasm_bindgen(method, js_name = mirrorPut)]
    pub fn mirror_put(this: &Sink, name: &str, frame: Uint8Array, images: Option<Uint8Array>);
    #[wasm_bindgen(method, js_name = mirrorDelete)]
    pub fn mirror_delete(this: &Sink, name: &str);
    #[wasm_bindgen(method, js_name = mirrorDamaged)]
    pub fn mirror_damaged(this: &Sink, name: &str);
    #[wasm_bindgen(method, js_name = mirrorAnew)]
    pub fn mirror_anew(this: &Sink, names: Array, frames: Array, images: Array);

    /// What a merge function of the app's makes of three values of a column of this type; as [`crate::functions::answer`]
    /// reads it. It never throws: the function's own exceptions are among its answers.
    #[wasm_bindgen(js_namespace = landfallMerge, js_name = ask)]
    pub fn ask_function(name: &str, ty: &str, question: &str) -> JsValue;
    /// Says once why a merge function decides nothing.
    #[wasm_bindgen(js_namespace = landfallMerge, js_name = fault)]
    pub fn function_failed(name: &str, why: &str);

    /// Fills a slice with the browser's randomness.
    #[wasm_bindgen(js_namespace = crypto, js_name = getRandomValues)]
    pub fn get_random_values(bytes: &mut [u8]);

    #[wasm_bindgen(js_namespace = performance, js_name = now)]
    pub fn performance_now() -> f64;
}

/// Randomness for the engine. The browser gives at most 64 KiB at once; the engine asks for a few bytes.
pub fn entropy(bytes: &mut [u8]) {
    for part in bytes.chunks_mut(65_536) {
        get_random_values(part);
    }
}

//! wasm-bindgen's JavaScript, in two thirds of its bytes. It is written for every environment and any use; here it runs
//! in workers of browsers that have what the module itself needs, and a worker makes one module. Every change names what
//! it expects to find, so that another version of wasm-bindgen fails here and not in a browser.

/// Functions whose bodies are replaced.
const BODIES: &[(&str, &str)] = &[
    // What a browser throws says what it is by itself.
    ("debugString(val)", "    return String(val);\n"),
    ("getDataViewMemory0()", "    return new DataView(wasm.memory.buffer);\n"),
    ("getArrayU8FromWasm0(ptr, len)", "    return getUint8ArrayMemory0().subarray(ptr >>> 0, (ptr >>> 0) + len);\n"),
    (
        "getUint8ArrayMemory0()",
        "    if (!cachedUint8ArrayMemory0?.length) cachedUint8ArrayMemory0 = new Uint8Array(wasm.memory.buffer);
    return cachedUint8ArrayMemory0;
",
    ),
    (
        "getStringFromWasm0(ptr, len)",
        "    return decodeText(getUint8ArrayMemory0().subarray(ptr >>> 0, (ptr >>> 0) + len));\n",
    ),
    // A decoder that read 2 GiB fails in Safari: this one reads one string.
    ("decodeText(bytes)", "    return new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes);\n"),
    (
        "passStringToWasm0(arg, malloc, realloc)",
        "    const most = arg.length * 3;
    const ptr = malloc(most, 1) >>> 0;
    WASM_VECTOR_LEN = cachedTextEncoder.encodeInto(arg, getUint8ArrayMemory0().subarray(ptr, ptr + most)).written;
    return most && realloc(ptr, most, WASM_VECTOR_LEN, 1) >>> 0;
",
    ),
    (
        "initSync(module)",
        "    return wasm ?? __wbg_finalize_init(new WebAssembly.Instance(module, __wbg_get_imports()), module);\n",
    ),
    (
        "handleError(f, args)",
        "    return (...args) => {
        try {
            return f(...args);
        } catch (e) {
            wasm.__wbindgen_exn_store(addToExternrefTable0(e));
        }
    };
",
    ),
];

/// What most calls end with.
const TAKEN: &str = "
function taken(ret) {
    if (ret[2]) {
        throw takeFromExternrefTable0(ret[1]);
    }
    return takeFromExternrefTable0(ret[0]);
}

function takeFromExternrefTable0(";

/// Pieces that are replaced, wherever they stand.
const PIECES: &[(&str, &str)] = &[
    ("let cachedDataViewMemory0 = null;\n", ""),
    ("    cachedDataViewMemory0 = null;\n", ""),
    ("let cachedTextDecoder = new TextDecoder('utf-8', { ignoreBOM: true });\ncachedTextDecoder.decode();\n", ""),
    ("if (Symbol.dispose) Client.prototype[Symbol.dispose] = Client.prototype.free;\n", ""),
    ("        ClientFinalization.register(obj, obj.__wbg_ptr, obj);\n", ""),
    ("        ClientFinalization.unregister(this);\n", ""),
    (
        "        if (ret[2]) {
            throw takeFromExternrefTable0(ret[1]);
        }
        return takeFromExternrefTable0(ret[0]);
",
        "        return taken(ret);\n",
    ),
    ("\nfunction takeFromExternrefTable0(", TAKEN),
    (
        "            let result;
            try {
                result = arg0 instanceof DedicatedWorkerGlobalScope;
            } catch (_) {
                result = false;
            }
            const ret = result;
",
        "            const ret = arg0 instanceof DedicatedWorkerGlobalScope;\n",
    ),
    (
        "            const obj = arg1;
            const ret = typeof(obj) === 'string' ? obj : undefined;
            var ptr1 = isLikeNone(ret) ? 0 : passStringToWasm0(ret,",
        "            var ptr1 = typeof arg1 !== 'string' ? 0 : passStringToWasm0(arg1,",
    ),
    (
        "            const ret = typeof globalThis === 'undefined' ? undefined : globalThis;
            return isLikeNone(ret) ? 0 : addToExternrefTable0(ret);
",
        "            return addToExternrefTable0(globalThis);\n",
    ),
    (
        "    static __wrap(ptr) {
        const obj = Object.create(Client.prototype);
        obj.__wbg_ptr = ptr;
        return obj;
    }
",
        "",
    ),
    ("Client.__wrap(arg0)", "Object.assign(Object.create(Client.prototype), { __wbg_ptr: arg0 })"),
    (
        "    __destroy_into_raw() {
        const ptr = this.__wbg_ptr;
        this.__wbg_ptr = 0;
        return ptr;
    }
",
        "",
    ),
    (
        "        const ptr = this.__destroy_into_raw();
        wasm.__wbg_client_free(ptr, 0);
",
        "        wasm.__wbg_client_free(this.__wbg_ptr, 0);
        this.__wbg_ptr = 0;
",
    ),
    ("        __proto__: null,\n", ""),
    ("            CLOSURE_DTORS.unregister(state);\n", ""),
    ("    CLOSURE_DTORS.register(real, state, state);\n", ""),
    ("    cachedUint8ArrayMemory0 = null;\n", ""),
    ("const MAX_SAFARI_DECODE_BYTES = 2146435072;\nlet numBytesDecoded = 0;\n", ""),
];

/// What nobody frees is freed when its worker ends, and the engine lives as long as that.
const REGISTRIES: &[&str] = &["const ClientFinalization = ", "const CLOSURE_DTORS = "];

/// What every browser has as `globalThis` is looked for under three other names too.
const GLOBAL_THIS: &str = "_GLOBAL_THIS_";
const OTHER_GLOBALS: &[&str] = &["_GLOBAL_", "_SELF_", "_WINDOW_"];

/// What others than the script ask the module for by name.
pub const KEPT: &[&str] = &["memory", "__wbindgen_malloc"];

/// What the module calls the script that it imports from.
pub const IMPORTED: &str = "js";

/// The `n`-th short name.
pub fn letters(n: usize) -> String {
    let letter = |n: usize| char::from(b'a' + (n % 26) as u8).to_string();
    if n < 26 { letter(n) } else { letter(n / 26 - 1) + &letter(n) }
}

/// The script, with the short names of what the module imports and exports: those of the bindings are long, some of them
/// hashes for half of their length, and browsers download each of them twice.
///
/// # Errors
/// What is not there as it is expected to be.
pub fn lean(text: &str, imported: &[(String, String)], exported: &[(String, String)]) -> Result<String, String> {
    let mut text = text.to_owned();
    for (name, body) in BODIES {
        // Not every module needs every function.
        if let Some(at) = text.find(&format!("\nfunction {name} {{\n")) {
            let start = at + format!("\nfunction {name} {{\n").len();
            let length = text[start..].find("\n}\n").ok_or_else(|| format!("`{name}` has no end"))? + 1;
            text.replace_range(start..start + length, body);
        } else if text.contains(&format!("\nfunction {}(", name.split('(').next().unwrap_or(name))) {
            return Err(format!("`{name}` takes other arguments"));
        }
    }
    for start in REGISTRIES {
        if let Some(at) = text.find(start) {
            let length = text[at..].find(";\n").ok_or_else(|| format!("`{start}` has no end"))? + ";\n".len();
            text.replace_range(at..at + length, "");
        }
    }
    for (piece, other) in PIECES {
        text = text.replace(piece, other);
    }
    let text = text.replace("__wbg_ptr", "a");
    exports(&imports(&text, imported)?, exported)
}

/// What the module exports, by its short name wherever the script asks for it.
fn exports(text: &str, names: &[(String, String)]) -> Result<String, String> {
    let mut parts = text.split("wasm.");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(part.len());
        let (long, rest) = part.split_at(end);
        let short = match names.iter().find(|(name, _)| name == long) {
            Some((_, short)) => short,
            None if KEPT.contains(&long) => long,
            None => return Err(format!("`{long}` is asked for and not exported")),
        };
        out.extend(["wasm.", short, rest]);
    }
    Ok(out)
}

/// The functions that the module imports, as arrows with short names.
fn imports(text: &str, names: &[(String, String)]) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let (mut defined, mut passed_over) = (0, false);
    for line in text.lines() {
        let found = line.trim_start().split_once(": function(");
        let named = found.and_then(|(name, rest)| Some((names.iter().find(|(long, _)| long == name)?, rest)));
        if let Some(((long, short), rest)) = named {
            defined += 1;
            passed_over = !long.contains(GLOBAL_THIS) && OTHER_GLOBALS.iter().any(|part| long.contains(part));
            let guarded = rest.strip_prefix(") { return handleError(function (");
            let arrow =
                guarded.unwrap_or(rest).strip_suffix(" {").ok_or_else(|| format!("`{long}` is not a function"))?;
            out.push_str(&match guarded {
                _ if passed_over => format!("        {short}: () => 0,\n"),
                Some(_) => format!("        {short}: handleError(({arrow} => {{\n"),
                None => format!("        {short}: ({arrow} => {{\n"),
            });
        } else if passed_over {
            passed_over = line != "        },";
        } else if line == "        }, arguments); }," {
            out.push_str("        }),\n");
        } else {
            out.push_str(line);
            out.push('\n');
        }
    }
    if defined == names.len() { Ok(out) } else { Err(format!("{defined} of {} imports are defined", names.len())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(names: &[(&str, &str)]) -> Vec<(String, String)> {
        names.iter().map(|(long, short)| ((*long).to_owned(), (*short).to_owned())).collect()
    }

    const SCRIPT: &str = "
export class Client {
    write(operations) {
        const ret = wasm.client_write(this.__wbg_ptr, operations);
        if (ret[2]) {
            throw takeFromExternrefTable0(ret[1]);
        }
        return takeFromExternrefTable0(ret[0]);
    }
}
function __wbg_get_imports() {
    const import0 = {
        __proto__: null,
        __wbg_close_1a2b: function(arg0) {
            arg0.close();
        },
        __wbg_flush_3c4d: function() { return handleError(function (arg0) {
            arg0.flush();
        }, arguments); },
        __wbg_static_accessor_SELF_5e6f: function() {
            const ret = typeof self === 'undefined' ? null : self;
            return isLikeNone(ret) ? 0 : addToExternrefTable0(ret);
        },
    };
}

function debugString(val) {
    // primitive types
    return `${val}`;
}

function takeFromExternrefTable0(idx) {
    const value = wasm.__wbindgen_externrefs.get(idx);
    return value;
}
const CLOSURE_DTORS = (typeof FinalizationRegistry === 'undefined')
    ? { register: () => {}, unregister: () => {} }
    : new FinalizationRegistry(state => wasm.__wbindgen_destroy_closure(state.a, state.b));
";
    const LEAN: &str = "
export class Client {
    write(operations) {
        const ret = wasm.a(this.a, operations);
        return taken(ret);
    }
}
function __wbg_get_imports() {
    const import0 = {
        x: (arg0) => {
            arg0.close();
        },
        y: handleError((arg0) => {
            arg0.flush();
        }),
        z: () => 0,
    };
}

function debugString(val) {
    return String(val);
}

function taken(ret) {
    if (ret[2]) {
        throw takeFromExternrefTable0(ret[1]);
    }
    return takeFromExternrefTable0(ret[0]);
}

function takeFromExternrefTable0(idx) {
    const value = wasm.b.get(idx);
    return value;
}
";

    fn imported() -> Vec<(String, String)> {
        pairs(&[("__wbg_close_1a2b", "x"), ("__wbg_flush_3c4d", "y"), ("__wbg_static_accessor_SELF_5e6f", "z")])
    }

    #[test]
    fn what_no_worker_needs_goes_and_names_get_short_on_both_sides() {
        let exported = pairs(&[("client_write", "a"), ("__wbindgen_externrefs", "b")]);
        assert_eq!(lean(SCRIPT, &imported(), &exported).as_deref(), Ok(LEAN));
    }

    #[test]
    fn a_script_of_another_version_of_the_tool_is_refused() {
        let exported = pairs(&[("client_write", "a"), ("__wbindgen_externrefs", "b")]);
        let refused = |script: &str, exported: &[(String, String)]| lean(script, &imported(), exported).unwrap_err();
        let other = SCRIPT.replace("debugString(val)", "debugString(val, depth)");
        assert_eq!(refused(&other, &exported), "`debugString(val)` takes other arguments");
        let other = SCRIPT.replace("__wbg_close_1a2b", "__wbg_close_ffff");
        assert_eq!(refused(&other, &exported), "2 of 3 imports are defined");
        assert_eq!(refused(SCRIPT, &exported[..1]), "`__wbindgen_externrefs` is asked for and not exported");
    }

    #[test]
    fn short_names_are_used_once() {
        let names: std::collections::BTreeSet<_> = (0..702).map(letters).collect();
        assert_eq!((names.len(), letters(0), letters(26), letters(701)), (702, "a".into(), "aa".into(), "zz".into()));
    }
}

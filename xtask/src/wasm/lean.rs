//! wasm-bindgen's JavaScript, in two thirds of its bytes. It is written for every environment and any use; here it runs
//! in workers of browsers that have what the module itself needs, and a worker makes one module. Every change names what
//! it expects to find, so that another version of wasm-bindgen fails here and not in a browser.

/// Functions whose bodies are replaced.
const BODIES: &[(&str, &str)] = &[
    // What a browser throws says what it is by itself.
    ("debugString(val)", "    return String(val);\n"),
    ("getDataViewMemory0()", "    return new DataView(wasm.memory.buffer);\n"),
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

/// Pieces that are replaced, wherever they stand.
const PIECES: &[(&str, &str)] = &[
    ("let cachedDataViewMemory0 = null;\n", ""),
    ("    cachedDataViewMemory0 = null;\n", ""),
    ("let cachedTextDecoder = new TextDecoder('utf-8', { ignoreBOM: true });\ncachedTextDecoder.decode();\n", ""),
    ("if (Symbol.dispose) Client.prototype[Symbol.dispose] = Client.prototype.free;\n", ""),
    ("        ClientFinalization.register(obj, obj.__wbg_ptr, obj);\n", ""),
    ("        ClientFinalization.unregister(this);\n", ""),
    ("            CLOSURE_DTORS.unregister(state);\n", ""),
    ("    CLOSURE_DTORS.register(real, state, state);\n", ""),
    // Where this runs both are there.
    (
        "            const ret = typeof globalThis === 'undefined' ? undefined : globalThis;\n            \
         return isLikeNone(ret) ? 0 : addToExternrefTable0(ret);\n",
        "            return addToExternrefTable0(globalThis);\n",
    ),
    (
        "            let result;\n            try {\n                \
         result = arg0 instanceof DedicatedWorkerGlobalScope;\n            } catch (_) {\n                \
         result = false;\n            }\n            const ret = result;\n            return ret;\n",
        "            return arg0 instanceof DedicatedWorkerGlobalScope;\n",
    ),
    ("const MAX_SAFARI_DECODE_BYTES = 2146435072;\nlet numBytesDecoded = 0;\n", ""),
];

/// What nobody frees is freed when its worker ends, and the engine lives as long as that.
const REGISTRIES: &[&str] = &["const ClientFinalization = ", "const CLOSURE_DTORS = "];

/// What every browser has as `globalThis` is looked for under three other names too.
const GLOBAL_THIS: &str = "_GLOBAL_THIS_";
const OTHER_GLOBALS: &[&str] = &["_GLOBAL_", "_SELF_", "_WINDOW_"];

/// The script, with the short names of what the module imports: those of the bindings are hashes for half of their
/// length, and browsers download each of them twice.
///
/// # Errors
/// What is not there as it is expected to be.
pub fn lean(text: &str, names: &[(String, String)]) -> Result<String, String> {
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
    imports(&text, names)
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

//! What the build needs of the machine, and how to see whether it is there.

use std::fs;
use std::path::{Path, PathBuf};

use super::Need;
use crate::process;

/// A Debian package to install, and the reason a person is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// What is looked for.
    pub what: &'static str,
    /// The package that brings it.
    pub package: &'static str,
    /// Why it is needed.
    pub why: &'static str,
}

/// How WebAssembly is built on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WasmBuild {
    /// The ordinary toolchain with its wasm32 target.
    Rustup,
    /// Debian's `rustc-web`, which builds the standard library from source.
    DebianWeb,
}

/// The linker of [`DEBIAN_WEB`]: its compiler looks for one under the name that rustup's has.
pub const WASM_LINKER: &str = "/usr/bin/wasm-ld-22";

/// The fall-back toolchain where rustup cannot fetch the wasm32 target.
pub const DEBIAN_WEB: [Wanted; 4] = [
    Wanted { what: "wasm-ld-22", package: "lld-22", why: "the linker for wasm32" },
    Wanted { what: "rustc", package: "rustc-web", why: "a compiler that can build for wasm32" },
    Wanted { what: "cargo", package: "cargo-web", why: "the cargo that belongs to it" },
    Wanted { what: "rust-src", package: "rust-web-src", why: "the standard library, to be built for wasm32" },
];

const CC: Wanted = Wanted { what: "a C compiler (cc)", package: "gcc", why: "compiles SQLite, which is built in" };
const LIBC: Wanted = Wanted { what: "the C headers", package: "libc6-dev", why: "SQLite includes them" };
const GIT: Wanted =
    Wanted { what: "git", package: "git", why: "tells the tidy rules which files belong to the project" };
const SQLITE: Wanted =
    Wanted { what: "sqlite3", package: "sqlite3", why: "lays a rule of an operator's own down in a test" };
const LIBCLANG: Wanted =
    Wanted { what: "libclang", package: "clang-22", why: "reads SQLite's header for the pre-update hook's bindings" };
const WASM_CLANG: Wanted = Wanted { what: "clang-22", package: "clang-22", why: "compiles SQLite for WebAssembly" };
const WASM_AR: Wanted = Wanted { what: "llvm-ar-22", package: "llvm-22", why: "packs SQLite for WebAssembly" };

const NODE: Wanted = Wanted { what: "node", package: "nodejs", why: "builds and tests the TypeScript packages" };
const NPM: Wanted = Wanted { what: "npm", package: "npm", why: "installs the packages that those need" };
const CHROMIUM: Wanted =
    Wanted { what: "chromium", package: "chromium", why: "the browser that the browser tests run in" };
/// Its package would also set up a server of the machine's own, unless told otherwise: `apt::without_cluster`.
pub const POSTGRES: Wanted = Wanted {
    what: "a PostgreSQL server",
    package: "postgresql",
    why: "the tests hold conditions in its SQL to what it answers",
};

/// What is not there, each package once.
pub fn missing(need: Need) -> Vec<Wanted> {
    let mut missing = Vec::new();
    let mut want = |present: bool, wanted: Wanted| {
        if !present && !missing.iter().any(|other: &Wanted| other.package == wanted.package) {
            missing.push(wanted);
        }
    };
    want(process::find_program("cc").is_some(), CC);
    want(c_headers(), LIBC);
    want(libclang().is_some(), LIBCLANG);
    if need >= Need::App {
        want(named_or("CC_wasm32_unknown_unknown", "clang-22"), WASM_CLANG);
        want(named_or("AR_wasm32_unknown_unknown", "llvm-ar-22"), WASM_AR);
        want(process::find_program("node").is_some(), NODE);
        want(process::find_program("npm").is_some(), NPM);
    }
    if need >= Need::Test {
        want(process::find_program("git").is_some(), GIT);
        want(process::find_program("sqlite3").is_some(), SQLITE);
        want(named_or("LANDFALL_CHROMIUM", "chromium"), CHROMIUM);
        want(postgres(), POSTGRES);
    }
    missing
}

/// Whether the program that an environment variable names, else the usual one, is there.
fn named_or(variable: &str, usual: &str) -> bool {
    let named = std::env::var(variable).unwrap_or_else(|_| usual.to_owned());
    Path::new(&named).is_file() || process::find_program(&named).is_some()
}

/// Whether the tests find a server to start: in the folder that is named, else where Debian keeps its versions.
fn postgres() -> bool {
    if let Some(named) = std::env::var_os("LANDFALL_POSTGRES") {
        return PathBuf::from(named).join("initdb").is_file();
    }
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    versions.map(|version| version.path()).any(|version| version.join("bin/initdb").is_file())
}

fn c_headers() -> bool {
    // Systems that keep their headers elsewhere have no Debian packages either: their `cc` knows the way.
    !Path::new("/etc/debian_version").exists() || Path::new("/usr/include/stdio.h").exists()
}

/// The folder that holds libclang's shared library, where clang-sys looks for it.
fn libclang() -> Option<PathBuf> {
    let named = std::env::var_os("LIBCLANG_PATH").map(PathBuf::from);
    let mut folders: Vec<PathBuf> = named.into_iter().collect();
    folders.extend(["/usr/lib", "/usr/lib64", "/usr/local/lib"].map(PathBuf::from));
    for parent in ["/usr/lib", "/usr/local", "/opt"] {
        let inside = fs::read_dir(parent).into_iter().flatten().flatten().map(|entry| entry.path());
        folders.extend(inside.flat_map(|folder| [folder.join("lib"), folder]));
    }
    folders.into_iter().find(|folder| holds(folder, "libclang.so") || holds(folder, "libclang-") || is_library(folder))
}

fn is_library(path: &Path) -> bool {
    path.is_file() && path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("libclang.so"))
}

/// Whether a folder holds a shared library whose name begins so; `libclang-cpp` is another library.
fn holds(folder: &Path, start: &str) -> bool {
    fs::read_dir(folder).into_iter().flatten().flatten().any(|entry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        name.starts_with(start) && name.contains(".so") && !name.starts_with("libclang-cpp")
    })
}

/// Whether the toolchain that runs us has the wasm32 standard library.
pub fn wasm_target_installed(root: &Path) -> bool {
    let folder = process::output(root, "rustc", &["--print", "target-libdir", "--target", "wasm32-unknown-unknown"]);
    folder.is_ok_and(|folder| holds_rlib(Path::new(folder.trim())))
}

fn holds_rlib(folder: &Path) -> bool {
    fs::read_dir(folder).into_iter().flatten().flatten().any(|entry| {
        let name = entry.file_name();
        name.to_string_lossy().starts_with("libcore-")
    })
}

/// Whether Debian's toolchain for the browser is complete and recent enough for this workspace.
pub fn debian_web_toolchain() -> bool {
    let version = process::output(Path::new("/"), "/usr/bin/rustc", &["--version"]).unwrap_or_default();
    let minor = version.split('.').nth(1).and_then(|minor| minor.parse::<u32>().ok());
    let sysroot = process::output(Path::new("/"), "/usr/bin/rustc", &["--print", "sysroot"]).unwrap_or_default();
    let library = Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library/core");
    let linker = Path::new(WASM_LINKER).exists();
    minor.is_some_and(|minor| minor >= 95) && Path::new("/usr/bin/cargo").is_file() && library.is_dir() && linker
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_builds_this_test_is_found() {
        // The test was linked, so a C compiler is there, unless it was told of another linker.
        assert!(process::find_program("cc").is_some() || std::env::var_os("RUSTC_LINKER").is_some());
        let missing = missing(Need::Test);
        let mut packages: Vec<_> = missing.iter().map(|wanted| wanted.package).collect();
        packages.dedup();
        assert_eq!(packages.len(), missing.len(), "each package once: {missing:?}");
    }

    #[test]
    fn the_cpp_library_is_not_taken_for_libclang() {
        let folder = std::env::temp_dir().join(format!("landfall-libclang-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("libclang-cpp.so.14"), "").unwrap();
        assert!(!holds(&folder, "libclang-"));
        fs::write(folder.join("libclang-22.so.22.1"), "").unwrap();
        assert!(holds(&folder, "libclang-"));
        fs::remove_dir_all(&folder).unwrap();
    }
}

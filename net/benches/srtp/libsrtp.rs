//! libsrtp, loaded when it is there: what sealing and opening are compared with. Declarations as in its `srtp.h` of 2.5.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_char, c_int, c_uint, c_ulong, c_void};
use std::ptr;
use std::sync::LazyLock;

use visavis_net::plan::SrtpProfile;

use crate::Profile;

/// The library unless `VISAVIS_LIBSRTP` names another file.
const FILE: &str = "libsrtp2.so.1";

/// Room that it may write to behind a packet: `SRTP_MAX_TRAILER_LEN`.
pub(crate) const MAX_TRAILER: usize = 16 + 128;

/// Packets back to which it tells repetition from novelty; its default, written out.
const WINDOW: c_ulong = 128;

/// `srtp_ssrc_t`.
#[repr(C)]
struct Source {
    /// 2: any that comes in. 3: any that goes out.
    kind: c_uint,
    value: c_uint,
}

/// `srtp_crypto_policy_t`, filled in by the library.
#[repr(C)]
#[derive(Default)]
struct CryptoPolicy {
    cipher: u32,
    key_len: c_int,
    auth: u32,
    auth_key_len: c_int,
    tag_len: c_int,
    services: c_uint,
}

/// `srtp_policy_t`.
#[repr(C)]
struct Policy {
    source: Source,
    rtp: CryptoPolicy,
    rtcp: CryptoPolicy,
    key: *mut u8,
    keys: *mut *mut c_void,
    keys_len: c_ulong,
    deprecated: *mut c_void,
    window: c_ulong,
    allow_repeat: c_int,
    extensions: *mut c_int,
    extensions_len: c_int,
    next: *mut Self,
}

type Init = unsafe extern "C" fn() -> c_int;
type SetPolicy = unsafe extern "C" fn(*mut CryptoPolicy);
type Create = unsafe extern "C" fn(*mut *mut c_void, *const Policy) -> c_int;
type Dealloc = unsafe extern "C" fn(*mut c_void) -> c_int;
type Process = unsafe extern "C" fn(*mut c_void, *mut c_void, *mut c_int) -> c_int;
type Version = unsafe extern "C" fn() -> *const c_char;

/// The functions used of it.
struct Library {
    aes_cm: SetPolicy,
    aes_128: SetPolicy,
    aes_256: SetPolicy,
    create: Create,
    dealloc: Dealloc,
    protect: Process,
    unprotect: Process,
}

static LIBRARY: LazyLock<Option<Library>> = LazyLock::new(|| match Library::load() {
    Ok(library) => Some(library),
    Err(reason) => {
        println!("skipped: {reason}. ./scripts/install bench installs it");
        None
    }
});

impl Library {
    fn load() -> Result<Self, String> {
        let file = std::env::var("VISAVIS_LIBSRTP").unwrap_or_else(|_| FILE.into());
        let name = CString::new(file.clone()).map_err(|_| "the name of libsrtp holds a zero byte")?;
        // SAFETY: a C string; what the library does as it is loaded is its own.
        let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW) };
        if handle.is_null() {
            return Err(format!("{file} cannot be loaded"));
        }
        let symbol = |name: &CStr| {
            // SAFETY: a handle that is never closed, and a C string.
            let symbol = unsafe { libc::dlsym(handle, name.as_ptr()) };
            if symbol.is_null() { Err(format!("{file} has no {}", name.to_string_lossy())) } else { Ok(symbol) }
        };
        // SAFETY: each is a function of the library with the type that its header declares.
        let (init, version, library) = unsafe {
            let library = Self {
                aes_cm: std::mem::transmute::<*mut c_void, SetPolicy>(symbol(c"srtp_crypto_policy_set_rtp_default")?),
                aes_128: std::mem::transmute::<*mut c_void, SetPolicy>(symbol(
                    c"srtp_crypto_policy_set_aes_gcm_128_16_auth",
                )?),
                aes_256: std::mem::transmute::<*mut c_void, SetPolicy>(symbol(
                    c"srtp_crypto_policy_set_aes_gcm_256_16_auth",
                )?),
                create: std::mem::transmute::<*mut c_void, Create>(symbol(c"srtp_create")?),
                dealloc: std::mem::transmute::<*mut c_void, Dealloc>(symbol(c"srtp_dealloc")?),
                protect: std::mem::transmute::<*mut c_void, Process>(symbol(c"srtp_protect")?),
                unprotect: std::mem::transmute::<*mut c_void, Process>(symbol(c"srtp_unprotect")?),
            };
            let init = std::mem::transmute::<*mut c_void, Init>(symbol(c"srtp_init")?);
            (init, std::mem::transmute::<*mut c_void, Version>(symbol(c"srtp_get_version_string")?), library)
        };
        // SAFETY: called once, before all others; the version is a C string that is never freed.
        let (status, version) = unsafe { (init(), CStr::from_ptr(version())) };
        if status != 0 {
            return Err(format!("{file} does not start: status {status}"));
        }
        println!("compared with {} from {file}", version.to_string_lossy());
        Ok(library)
    }
}

/// Which way packets go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    In = 2,
    Out = 3,
}

/// One `srtp_t`.
pub(crate) struct Context {
    library: &'static Library,
    session: *mut c_void,
}

impl Context {
    /// A session of `key`, behind which follows its salt; `None`, with a reason printed, where the library is missing
    /// or has no AES-GCM.
    pub(crate) fn new(profile: Profile, way: Way, mut key: Vec<u8>) -> Option<Self> {
        let library = LIBRARY.as_ref()?;
        let mut policy = Policy {
            source: Source { kind: way as c_uint, value: 0 },
            rtp: CryptoPolicy::default(),
            rtcp: CryptoPolicy::default(),
            key: key.as_mut_ptr(),
            keys: ptr::null_mut(),
            keys_len: 0,
            deprecated: ptr::null_mut(),
            window: WINDOW,
            allow_repeat: 0,
            extensions: ptr::null_mut(),
            extensions_len: 0,
            next: ptr::null_mut(),
        };
        let set = match profile {
            Profile::AesCm => library.aes_cm,
            Profile::Aead(SrtpProfile::Aes128Gcm) => library.aes_128,
            Profile::Aead(SrtpProfile::Aes256Gcm) => library.aes_256,
        };
        let mut session = ptr::null_mut();
        // SAFETY: all pointers are to memory that outlives the calls; `key` has the length that the profile wants, which
        // is asserted between them.
        let status = unsafe {
            set(&raw mut policy.rtp);
            set(&raw mut policy.rtcp);
            assert_eq!(policy.rtp.key_len, c_int::try_from(key.len()).expect("a short key"), "key and salt");
            (library.create)(&raw mut session, &raw const policy)
        };
        if status != 0 {
            println!("skipped: libsrtp makes no session of {profile}: status {status}");
            return None;
        }
        Some(Self { library, session })
    }

    /// Seals an RTP packet in place.
    pub(crate) fn protect(&mut self, packet: &mut Vec<u8>) {
        self.process(self.library.protect, packet);
    }

    /// Opens an RTP packet in place.
    pub(crate) fn unprotect(&mut self, packet: &mut Vec<u8>) {
        self.process(self.library.unprotect, packet);
    }

    fn process(&mut self, process: Process, packet: &mut Vec<u8>) {
        packet.reserve(MAX_TRAILER);
        let mut len = c_int::try_from(packet.len()).expect("a packet is short");
        // SAFETY: the packet may grow by `MAX_TRAILER` bytes, which are there; memory of the allocator is aligned to
        // more than the four bytes that the library wants. It writes what it counts in `len`.
        let status = unsafe { process(self.session, packet.as_mut_ptr().cast(), &raw mut len) };
        assert_eq!(status, 0, "libsrtp takes the packet");
        let len = usize::try_from(len).expect("a length");
        assert!(len <= packet.capacity());
        // SAFETY: within the capacity, and written by the library.
        unsafe { packet.set_len(len) };
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: made by `srtp_create` and not used again.
        unsafe { (self.library.dealloc)(self.session) };
    }
}

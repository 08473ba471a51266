//! The comparisons of QEMU's guestperf: one gigabyte dirtied as fast as it goes, at most 30 passes and 300 s.
//!
//! A scenario is a row: its number, the link in MiB/s, what of `[migration]` it adds, and what is done in the middle. 125000 MiB/s is
//! guestperf's word for a link without a limit. The cache of xbzrle is a power of two, as QEMU demands: the next one above the share of
//! the guest's memory that names the scenario.

macro_rules! guestperf {
    ($( $comparison:literal $what:literal { $( $number:literal $mib_per_s:literal $keys:literal $steps:literal )* } )*) => {
        &[$($( (
            concat!("guestperf/", $comparison, "/", $number),
            concat!(
                "name = \"guestperf/", $comparison, "/", $number, "\"\n",
                "summary = \"guestperf: ", $what, " ", $number, "\"\n",
                "[vm]\nmemory = \"1G\"\n[load]\nmemory = \"896M\"\nrate = \"max\"\n[expect]\noutcome = \"any\"\n",
                "[migration]\nbandwidth = \"", $mib_per_s, "M/s\"\ndowntime_limit = \"500ms\"\ntimeout = \"300s\"\n",
                $keys, "\nwhen = [", $steps, "{ pass = 31, do = \"cancel\" }]\n",
            ),
        ), )*)*]
    };
}

/// All of them, name and text, in guestperf's order.
pub(super) const GUESTPERF: &[(&str, &str)] = guestperf! {
    "pause-iters" "the guest is paused when so many passes are over:" {
        "0" 125000 "" "{ pass = 1, do = \"pause\" }, "
        "1" 125000 "" "{ pass = 2, do = \"pause\" }, "
        "5" 125000 "" "{ pass = 6, do = \"pause\" }, "
        "20" 125000 "" "{ pass = 21, do = \"pause\" }, "
    }
    "post-copy-bandwidth" "post-copy after the first pass, over a link of" {
        "100mbs" 12 "" "{ pass = 2, do = \"post-copy\" }, "
        "300mbs" 37 "" "{ pass = 2, do = \"post-copy\" }, "
        "1gbs" 125 "" "{ pass = 2, do = \"post-copy\" }, "
        "10gbs" 1250 "" "{ pass = 2, do = \"post-copy\" }, "
        "100gbs" 12500 "" "{ pass = 2, do = \"post-copy\" }, "
    }
    "post-copy-iters" "post-copy when so many passes are over:" {
        "0" 125000 "" "{ pass = 1, do = \"post-copy\" }, "
        "1" 125000 "" "{ pass = 2, do = \"post-copy\" }, "
        "5" 125000 "" "{ pass = 6, do = \"post-copy\" }, "
        "20" 125000 "" "{ pass = 21, do = \"post-copy\" }, "
    }
    "auto-converge-iters" "auto-converge in steps of percentage points:" {
        "5" 125000 "auto_converge = true\nthrottle_increment = 5" ""
        "10" 125000 "auto_converge = true\nthrottle_increment = 10" ""
        "20" 125000 "auto_converge = true\nthrottle_increment = 20" ""
    }
    "auto-converge-bandwidth" "auto-converge over a link of" {
        "100mbs" 12 "auto_converge = true" ""
        "300mbs" 37 "auto_converge = true" ""
        "1gbs" 125 "auto_converge = true" ""
        "10gbs" 1250 "auto_converge = true" ""
        "100gbs" 12500 "auto_converge = true" ""
    }
    "compr-mt" "pages compressed by threads (QEMU before 9.1):" {
        "1" 125000 "capabilities = { compress = true }\nparameters = { compress-threads = 1, decompress-threads = 1 }" ""
        "2" 125000 "capabilities = { compress = true }\nparameters = { compress-threads = 2, decompress-threads = 2 }" ""
        "4" 125000 "capabilities = { compress = true }\nparameters = { compress-threads = 4, decompress-threads = 4 }" ""
    }
    "compr-xbzrle" "xbzrle with a cache of the guest's memory, percent:" {
        "5" 125000 "capabilities = { xbzrle = true }\nparameters = { xbzrle-cache-size = 67108864 }" ""
        "10" 125000 "capabilities = { xbzrle = true }\nparameters = { xbzrle-cache-size = 134217728 }" ""
        "20" 125000 "capabilities = { xbzrle = true }\nparameters = { xbzrle-cache-size = 268435456 }" ""
        "50" 125000 "capabilities = { xbzrle = true }\nparameters = { xbzrle-cache-size = 536870912 }" ""
    }
    "compr-multifd" "multifd with channels:" {
        "4" 125000 "capabilities = { multifd = true }\nparameters = { multifd-channels = 4 }" ""
        "8" 125000 "capabilities = { multifd = true }\nparameters = { multifd-channels = 8 }" ""
        "32" 125000 "capabilities = { multifd = true }\nparameters = { multifd-channels = 32 }" ""
        "64" 125000 "capabilities = { multifd = true }\nparameters = { multifd-channels = 64 }" ""
    }
    "compr-dirty-limit-period" "dirty-limit of 1 MiB/s (KVM), looked at every so many ms:" {
        "500" 125000 "capabilities = { dirty-limit = true }\nparameters = { x-vcpu-dirty-limit-period = 500, vcpu-dirty-limit = 1 }" ""
        "800" 125000 "capabilities = { dirty-limit = true }\nparameters = { x-vcpu-dirty-limit-period = 800, vcpu-dirty-limit = 1 }" ""
        "1000" 125000 "capabilities = { dirty-limit = true }\nparameters = { x-vcpu-dirty-limit-period = 1000, vcpu-dirty-limit = 1 }" ""
    }
    "compr-dirty-limit" "dirty-limit (KVM) of MiB/s:" {
        "10" 125000 "capabilities = { dirty-limit = true }\nparameters = { x-vcpu-dirty-limit-period = 500, vcpu-dirty-limit = 10 }" ""
        "20" 125000 "capabilities = { dirty-limit = true }\nparameters = { x-vcpu-dirty-limit-period = 500, vcpu-dirty-limit = 20 }" ""
        "50" 125000 "capabilities = { dirty-limit = true }\nparameters = { x-vcpu-dirty-limit-period = 500, vcpu-dirty-limit = 50 }" ""
    }
};

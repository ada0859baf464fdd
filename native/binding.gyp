{
  "targets": [
    {
      "target_name": "pointsman",
      "sources": [
        "<!@(ls core/*.cc http1/*.cc net/*.cc front/*.cc uws/*.cc binding/*.cc)"
      ],
      "include_dirs": [".", "<!(node -p \"require('node-addon-api').include_dir\")"],
      "defines": ["NAPI_VERSION=9", "NAPI_DISABLE_CPP_EXCEPTIONS"],
      "cflags_cc!": ["-std=gnu++17", "-fno-rtti"],
      "cflags_cc": ["-std=gnu++20", "-O2", "-fvisibility=hidden", "-Wall", "-Wextra", "-fstack-protector-strong"],
      "ldflags": ["-Wl,-z,relro,-z,now"]
    }
  ]
}

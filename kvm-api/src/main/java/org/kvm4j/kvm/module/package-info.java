/** The emulated kernel module: file descriptors, VMs, vCPUs, run loop, memory slots. */
@NullMarked
package org.kvm4j.kvm.module;

import org.jspecify.annotations.NullMarked;

/**
 * The reference VMM: a machine made of a kernel's VM and vCPUs, memory and devices, and its life.
 */
@NullMarked
package org.kvm4j.vmm;

import org.jspecify.annotations.NullMarked;

/**
 * The devices of the reference machine, each behind ports or memory-mapped registers, and the buses
 * that lead to them. Nothing here knows of KVM: a device takes reads and writes and a clock.
 */
@NullMarked
package org.kvm4j.vmm.device;

import org.jspecify.annotations.NullMarked;

/** The reference VMM: boot protocols, devices, lifecycle. */
@NullMarked
package org.kvm4j.vmm;

import org.jspecify.annotations.NullMarked;

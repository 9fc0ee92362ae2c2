/** What the module tells whoever looks for what went wrong. */
@NullMarked
package org.kvm4j.kvm.module.log;

import org.jspecify.annotations.NullMarked;
